-- event-pusher's part of Prosody's configuration, for $domain.
-- As a file of its own in conf.d/ it is right as it stands. In prosody.cfg.lua the `gc` line goes above the first
-- VirtualHost, the rest behind everything else.

-- Prosody's default collects garbage so often that it sets the pace: with this line twice as many pushes a second.
gc = { mode = "incremental", threshold = 200, speed = 200 }

VirtualHost "$domain"
  -- If this host has a modules_enabled of its own already, add "event_feed" there and drop this line.
  modules_enabled = { "event_feed" }
  event_feed_component = "$component"
  -- What push needs: messages for those who are not online, and who is. Backends that act on every message (http,
  -- rabbit, sns, log) need the rest as well: take these lines out for them.
  event_feed_online = false
  event_feed_kinds = {
    "received"; "unacked"; "available"; "unavailable"; "session-start"; "session-end";
    "hibernation-start"; "hibernation-end"; "subscribe"; "user-removed"; "host-removed";
  }

Component "$component"
  component_secret = "$secret"
