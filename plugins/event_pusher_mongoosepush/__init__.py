"""A gateway to MongoosePush, which knows APNs and FCM."""
