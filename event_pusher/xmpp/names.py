"""The namespaces of XMPP that event-pusher speaks, each written once."""

from typing import Final

STREAMS: Final = "http://etherx.jabber.org/streams"
STREAM_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
COMPONENT: Final = "jabber:component:accept"
CLIENT: Final = "jabber:client"
FEED: Final = "urn:event-pusher:feed:0"
FORWARD: Final = "urn:xmpp:forward:0"
DELAY: Final = "urn:xmpp:delay"
PING: Final = "urn:xmpp:ping"
PUSH: Final = "urn:xmpp:push:0"
PUSH_SUMMARY: Final = "urn:xmpp:push:summary"
PUBSUB: Final = "http://jabber.org/protocol/pubsub"
PUBLISH_OPTIONS: Final = "http://jabber.org/protocol/pubsub#publish-options"
DATA_FORMS: Final = "jabber:x:data"
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"
VERSION: Final = "jabber:iq:version"
#: XEP-0355 in both versions met in the wild: ejabberd's own module and Prosody's.
DELEGATION: Final = ("urn:xmpp:delegation:1", "urn:xmpp:delegation:2")
