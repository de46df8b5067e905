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

_ATTRIBUTES: Final = (
    "from to id type by xmlns version n feed epoch first next lost server error count kind user resource session "
    "stored state priority pending stamp jid node var name category timeout"
)
#: All names that event-pusher itself understands, in Clark notation, and with the empty namespace for attributes.
_UNDERSTOOD: Final = {
    STREAMS: "stream error features",
    COMPONENT: "message iq presence handshake error body",
    CLIENT: "message iq presence error body subject thread",
    FEED: "event feed lost snapshot-begin snapshot-end publish",
    FORWARD: "forwarded",
    DELAY: "delay",
    PING: "ping",
    PUSH: "enable disable",
    PUBSUB: "pubsub affiliations affiliation",
    DATA_FORMS: "x field value",
    DISCO_INFO: "query identity feature",
    VERSION: "query",
    **dict.fromkeys(DELEGATION, "delegation delegated"),
    STREAM_ERRORS: (
        "bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown improper-addressing "
        "internal-server-error invalid-from invalid-namespace invalid-xml not-authorized not-well-formed "
        "policy-violation remote-connection-failed reset resource-constraint restricted-xml see-other-host "
        "system-shutdown undefined-condition unsupported-encoding unsupported-feature unsupported-stanza-type "
        "unsupported-version text"
    ),
    STANZA_ERRORS: (
        "bad-request conflict feature-not-implemented forbidden gone internal-server-error item-not-found "
        "jid-malformed not-acceptable not-allowed not-authorized policy-violation recipient-unavailable redirect "
        "registration-required remote-server-not-found remote-server-timeout resource-constraint "
        "service-unavailable subscription-required undefined-condition unexpected-request text"
    ),
    # What decides whether a message is worth a push, read by plugins: hints, encryption, receipts, ids, corrections.
    "urn:xmpp:hints": "no-store store no-copy no-permanent-store",
    "urn:xmpp:sid:0": "stanza-id origin-id",
    "urn:xmpp:eme:0": "encryption",
    "urn:xmpp:receipts": "request received",
    "urn:xmpp:message-correct:0": "replace",
    "urn:xmpp:jingle-message:0": "propose accept reject retract proceed",
    "http://jabber.org/protocol/chatstates": "active composing paused inactive gone",
}
VOCABULARY: Final = frozenset(
    [f"{{{space}}}{name}" for space, listed in _UNDERSTOOD.items() for name in listed.split()]
    + [f"xmlns={space}" for space in ("", *_UNDERSTOOD)]
    + _ATTRIBUTES.split()
    + ["xmlns:stream", "{http://www.w3.org/XML/1998/namespace}lang"]
)
