"""The component's end of the feed, for tests: it resumes, collects events and acknowledges."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from wire import TIMEOUT, Component, Predicate, local, new_id

FEED = "urn:event-pusher:feed:0"
FORWARD = "urn:xmpp:forward:0"
DELEGATION = "urn:xmpp:delegation:2"
PUSH = "urn:xmpp:push:0"
PUBSUB = "http://jabber.org/protocol/pubsub"


def child(stanza: Element, name: str | None = None) -> Element | None:
    """The stanza's element of the feed's namespace, if it has one (with that name)."""
    for element in stanza:
        if element.tag.startswith(f"{{{FEED}}}") and name in (None, local(element)):
            return element
    return None


def stanza_of(message: Element) -> Element | None:
    """The message that an event carries."""
    return message.find(f"{{{FORWARD}}}forwarded/{{jabber:client}}message")


def is_event(kind: str | None = None, **attributes: str) -> Predicate:
    """Matches an event with this kind and these attributes."""

    def matches(stanza: Element) -> bool:
        event = child(stanza, "event")
        if event is None or kind not in (None, event.get("kind")):
            return False
        return all(event.get(name, "") == value for name, value in attributes.items())

    return matches


def carries(identifier: str, kind: str | None = None, **attributes: str) -> Predicate:
    """Matches an event whose stanza has this id."""
    event = is_event(kind, **attributes)

    def matches(stanza: Element) -> bool:
        inner = stanza_of(stanza)
        return inner is not None and inner.get("id") == identifier and event(stanza)

    return matches


class Feed:
    """A consumer of one host's feed over a connected component."""

    def __init__(self, component: Component, host: str) -> None:
        self.component = component
        self.host = host
        self.consumer = new_id("consumer")
        self.feed = self.epoch = ""

    def resume(self, *, snapshot: bool = True, **attributes: str) -> Element:
        """Send ``<resume/>`` and return the module's ``<feed/>``; waits for the snapshot's end."""
        given = {"version": "0", "consumer": self.consumer, "window": "2000", **attributes}
        text = "".join(f" {name}='{value}'" for name, value in given.items())
        self.component.message(self.host, f"<resume xmlns='{FEED}'{text}/>")
        answer = self.expect("feed")
        self.feed, self.epoch = answer.get("feed", ""), answer.get("epoch", "")
        if snapshot:
            self.expect("snapshot-end")
        return answer

    def position(self, n: int) -> dict[str, str]:
        """The attributes of a resume behind entry ``n``."""
        return {"feed": self.feed, "epoch": self.epoch, "n": str(n)}

    def expect(self, name: str, timeout: float = TIMEOUT) -> Element:
        """The next element of the feed with this name."""
        message = self.component.expect(lambda s: child(s, name) is not None, timeout)
        element = child(message, name)
        assert element is not None
        return element

    def event(self, kind: str | None = None, **attributes: str) -> Element:
        """The ``<event/>`` of the next message that fits."""
        return self.of(is_event(kind, **attributes))

    def of(self, predicate: Callable[[Element], bool]) -> Element:
        """The ``<event/>`` of the next message for which the predicate holds."""
        element = child(self.component.expect(predicate), "event")
        assert element is not None
        return element

    def ack(self, n: int | str, **attributes: str) -> None:
        """Acknowledge everything up to ``n``."""
        given = {"feed": self.feed, "epoch": self.epoch, "n": str(n), "consumer": self.consumer}
        text = "".join(f" {name}='{value}'" for name, value in {**given, **attributes}.items())
        self.component.message(self.host, f"<ack xmlns='{FEED}'{text}/>")
