"""The feed's messages become items; whatever an entry holds, its position counts."""

from collections.abc import Callable
from datetime import datetime

import pytest
from lxml import etree

from event_pusher.events import ChatEvent, UnackedMessageEvent, UserStatusEvent
from event_pusher.intake import FeedLost, FeedStarted, Item, Occurrence, Position, Removed, SessionChange, Snapshot
from event_pusher.jid import Jid
from event_pusher.xmpp import feed_wire
from event_pusher.xmpp.feed import FeedReader

Make = Callable[[str], etree._Element]
Tell = Callable[..., Item | None]

BOB = Jid("bob", "example.org")
ALICE = Jid("alice", "example.org", "r1")
HELLO = (
    "<message xmlns='jabber:client' from='alice@example.org/r1' to='bob@example.org' type='chat' id='m1'>"
    "<body>hello</body></message>"
)


def entry(n: int, attributes: str, inner: str = "", *, host: str = "example.org", epoch: str = "E") -> str:
    delay = "<delay xmlns='urn:xmpp:delay' stamp='2001-01-01T00:00:00.500Z'/>"
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'>{delay}{inner}</forwarded>" if inner else ""
    return (
        f"<message from='{host}' to='push.example.org'><event xmlns='urn:event-pusher:feed:0' feed='F' epoch='{epoch}' "
        f"n='{n}' {attributes}/>{forwarded}</message>"
    )


def told(child: str) -> str:
    name, _, rest = child.partition(" ")
    return (
        f"<message from='example.org' to='push.example.org'><{name} xmlns='urn:event-pusher:feed:0' {rest}/></message>"
    )


@pytest.fixture
def tell(reader: FeedReader, stanza: Make) -> Tell:
    """Reads one entry; the numbers go on by themselves."""
    numbers = iter(range(1, 1000))

    def read(attributes: str, inner: str = "", **more: str) -> Item | None:
        return reader.read(stanza(entry(next(numbers), attributes, inner, **more)))

    return read


def occurrence(item: Item | None) -> Occurrence:
    assert isinstance(item, Occurrence)
    return item


def chat(item: Item | None) -> ChatEvent:
    event = occurrence(item).event
    assert isinstance(event, ChatEvent)
    return event


def test_a_received_message_becomes_a_chat_event_with_its_position(tell: Tell) -> None:
    # Given a message that was handed to an account without a session
    item = tell("kind='received' state='offline' user='bob@example.org' resource='' session=''", HELLO)
    # Then all of it is in the item
    assert occurrence(item).position == Position("F", "E", 1)
    assert chat(item) == ChatEvent("chat", "out", ALICE, BOB, chat(item).stanza, "offline", None)
    stanza = chat(item).stanza
    assert (stanza.body, stanza.id, stanza.type) == ("hello", "m1", "chat")
    assert stanza.xml == HELLO.replace("'", '"').encode()


def test_the_time_is_the_servers(tell: Tell) -> None:
    acc = occurrence(tell("kind='received' user='bob@example.org'", HELLO)).acc
    assert acc is not None
    assert acc.received_at == datetime.fromisoformat("2001-01-01T00:00:00.500Z").timestamp()


@pytest.mark.parametrize("stamp", ["", "yesterday", "2001-01-01T00:00:00", "9999-01-01T00:00:00Z"])
def test_a_time_that_cannot_be_is_ours(reader: FeedReader, stanza: Make, stamp: str) -> None:
    xml = entry(1, "kind='received' user='bob@example.org'", HELLO).replace("2001-01-01T00:00:00.500Z", stamp)
    acc = occurrence(reader.read(stanza(xml))).acc
    assert acc is not None
    assert 1_000_000_000.0 <= acc.received_at <= 1_000_000_005.0


def test_the_same_entry_has_the_same_id_in_another_life(reader: FeedReader, stanza: Make) -> None:
    acc = occurrence(reader.read(stanza(entry(7, "kind='received' user='bob@example.org'", HELLO)))).acc
    assert acc is not None
    assert (acc.id, acc.host) == ("E-7", "example.org")


@pytest.mark.parametrize("kind", ["chat", "groupchat", "headline", "normal"])
def test_every_message_type_makes_an_event(tell: Tell, kind: str) -> None:
    item = tell("kind='received' user='bob@example.org'", HELLO.replace("'chat'", f"'{kind}'"))
    assert chat(item).type == kind


def test_a_missing_type_is_normal(tell: Tell) -> None:
    assert chat(tell("kind='received' user='bob@example.org'", HELLO.replace("type='chat'", ""))).type == "normal"


@pytest.mark.parametrize("kind", ["error", "set", "subscribe", "fancy"])
@pytest.mark.parametrize("event", ["received", "sent", "unacked"])
def test_any_other_type_makes_no_event_and_counts(tell: Tell, kind: str, event: str) -> None:
    item = tell(f"kind='{event}' user='bob@example.org'", HELLO.replace("'chat'", f"'{kind}'"))
    assert occurrence(item).event is None
    assert occurrence(item).position is not None


@pytest.mark.parametrize(
    ("state", "read"), [("online", "online"), ("hibernated", "hibernated"), ("odd", None), ("", None)]
)
def test_the_recipients_state_is_the_servers_word(tell: Tell, state: str, read: str | None) -> None:
    assert chat(tell(f"kind='received' state='{state}' user='bob@example.org' session='s9'", HELLO)).state == read


def test_a_hibernated_session_is_named(tell: Tell) -> None:
    item = tell("kind='received' state='hibernated' user='bob@example.org' resource='r' session='s9'", HELLO)
    assert chat(item).session == "s9"


def test_a_groupchat_copy_belongs_to_the_account_whatever_its_to(tell: Tell) -> None:
    # Given a room's copy whose to is not the account
    item = tell("kind='received' user='bob@example.org'", HELLO.replace("to='bob@", "to='eve@"))
    # Then the feed's user is the recipient
    assert chat(item).recipient == BOB


def test_the_recipients_resource_is_kept(tell: Tell) -> None:
    item = tell(
        "kind='received' user='bob@example.org'", HELLO.replace("to='bob@example.org'", "to='Bob@example.org/x'")
    )
    assert chat(item).recipient == Jid("bob", "example.org", "x")


def test_a_sent_message_goes_in(tell: Tell) -> None:
    event = chat(tell("kind='sent' user='alice@example.org' resource='r1' session='s1'", HELLO))
    assert (event.direction, event.sender, event.recipient, event.session) == ("in", ALICE, BOB, "s1")
    assert event.user == ALICE.bare


def test_an_unacknowledged_message_names_the_session(tell: Tell) -> None:
    item = tell("kind='unacked' user='bob@example.org' resource='r' session='s1'", HELLO)
    event = occurrence(item).event
    assert isinstance(event, UnackedMessageEvent)
    assert (event.recipient, event.sender, event.session) == (Jid("bob", "example.org", "r"), ALICE, "s1")


def test_a_session_that_comes_and_goes_makes_status_events_and_changes(tell: Tell) -> None:
    session = "user='bob@example.org' resource='r' session='s1'"
    came = occurrence(tell(f"kind='available' {session} priority='5'"))
    went = occurrence(tell(f"kind='unavailable' {session}"))
    assert came.event == UserStatusEvent(Jid("bob", "example.org", "r"), "online")
    assert came.change == SessionChange("available", "bob@example.org", "r", "s1", 5)
    assert went.event == UserStatusEvent(Jid("bob", "example.org", "r"), "offline")
    assert went.change == SessionChange("unavailable", "bob@example.org", "r", "s1")


def test_a_new_priority_is_a_change_and_no_event(tell: Tell) -> None:
    session = "user='bob@example.org' resource='r' session='s1'"
    tell(f"kind='available' {session} priority='5'")
    again = occurrence(tell(f"kind='available' {session} priority='-1'"))
    assert again.event is None
    assert again.change is not None
    assert again.change.priority == -1


@pytest.mark.parametrize("kind", ["session-start", "session-end", "hibernation-start", "hibernation-end"])
def test_session_life_is_a_change_only(tell: Tell, kind: str) -> None:
    item = occurrence(tell(f"kind='{kind}' user='bob@example.org' resource='r' session='s1'"))
    assert item.event is None
    assert item.change is not None
    assert (item.change.kind, item.change.hibernated) == (kind, kind == "hibernation-start")


def test_a_snapshots_sessions_carry_priority_and_hibernation(tell: Tell, reader: FeedReader, stanza: Make) -> None:
    begin = reader.read(stanza(told("snapshot-begin feed='F' epoch='G' n='1'")))
    first = reader.read(
        stanza(entry(2, "kind='session-start' user='b@example.org' resource='r' session='s' priority='3'", epoch="G"))
    )
    second = reader.read(
        stanza(
            entry(3, "kind='session-start' user='b@example.org' resource='q' session='t' state='hibernated'", epoch="G")
        )
    )
    end = reader.read(stanza(told("snapshot-end feed='F' epoch='G' n='4' count='2'")))
    assert begin == Snapshot("component", "example.org", "begin", Position("F", "G", 1))
    assert occurrence(first).change == SessionChange("session-start", "b@example.org", "r", "s", 3)
    assert occurrence(second).change == SessionChange("session-start", "b@example.org", "q", "t", None, True)
    assert end == Snapshot("component", "example.org", "end", Position("F", "G", 4))
    assert occurrence(first).event is None


def test_a_removed_account_and_a_removed_host(tell: Tell) -> None:
    assert tell("kind='user-removed' user='Bob@example.org'") == Removed(
        "component", "example.org", "bob@example.org", Position("F", "E", 1)
    )
    assert tell("kind='host-removed'") == Removed("component", "example.org", None, Position("F", "E", 2))


def test_the_feeds_answer_and_what_it_lost(reader: FeedReader, stanza: Make, counters: dict[str, int]) -> None:
    started = reader.read(stanza(told("feed version='0' feed='F' epoch='E' first='3' next='9' lost='2' server='x'")))
    lost = reader.read(stanza(told("lost feed='F' epoch='E' from='3' to='5'")))
    assert started == FeedStarted("component", "example.org", "F", "E", 3, 9, 2)
    assert lost == FeedLost("component", "example.org", "F", "E", 3, 5)
    assert counters["events_lost"] == 3


def test_a_module_of_another_version_is_told_of(
    reader: FeedReader, stanza: Make, counters: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    assert reader.read(stanza(told("feed version='0' error='unsupported-version'"))) is None
    assert counters["feed_errors"] == 1
    assert "event-pusher setup" in caplog.text


@pytest.mark.parametrize(
    "child",
    [
        "feed version='0'",
        "feed feed='F' epoch='E' first='x' next='1'",
        "lost from='9' to='3'",
        "lost from='-1' to='3'",
        "odd",
    ],
)
def test_what_the_feed_says_wrongly_is_ignored(
    reader: FeedReader, stanza: Make, counters: dict[str, int], child: str
) -> None:
    assert reader.read(stanza(told(child))) is None
    assert counters["messages_ignored"] == 1


BAD = {
    "no from": ("kind='received' user='bob@example.org'", HELLO.replace("from='alice@example.org/r1'", "")),
    "bad from": ("kind='received' user='bob@example.org'", HELLO.replace("alice@", "al ice@")),
    "bad to": ("kind='received' user='bob@example.org'", HELLO.replace("to='bob@", "to='@")),
    "control character in a JID": ("kind='received' user='bob@example.org'", HELLO.replace("/r1", "/r\x85")),
    "no user": ("kind='received'", HELLO),
    "bad user": ("kind='received' user='@example.org'", HELLO),
    "no message": ("kind='received' user='bob@example.org'", ""),
    "not a message": ("kind='received' user='bob@example.org'", "<presence xmlns='jabber:client' from='a@b'/>"),
    "unacked without a message": ("kind='unacked' user='bob@example.org'", ""),
    "sent without a user": ("kind='sent'", HELLO),
    "presence without a resource": ("kind='available' user='bob@example.org' session='s'", ""),
    "session without a user": ("kind='session-start' session='s'", ""),
    "removed nobody": ("kind='user-removed'", ""),
}


@pytest.mark.parametrize(("attributes", "inner"), BAD.values(), ids=BAD)
def test_a_bad_event_leaves_its_position_a_counter_and_a_log_line(
    tell: Tell, counters: dict[str, int], caplog: pytest.LogCaptureFixture, attributes: str, inner: str
) -> None:
    item = occurrence(tell(attributes, inner))
    assert (item.event, item.acc, item.change) == (None, None, None)
    assert item.position == Position("F", "E", 1)
    assert counters["events_refused"] == 1
    assert "acknowledged all the same" in caplog.text
    assert "hello" not in caplog.text


def test_unknown_kinds_and_attributes_are_acknowledged_with_one_line_per_kind(
    tell: Tell, counters: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    # Given nine events of a kind that a newer module sends, when they are read
    items = [occurrence(tell("kind='mood' user='bob@example.org' colour='blue'")) for _ in range(9)]
    # Then each has its position, all are counted, one is logged
    assert [item.position.n for item in items if item.position] == list(range(1, 10))
    assert counters["events_unknown_kind"] == 9
    assert len(caplog.records) == 1


def test_a_flood_of_bad_events_is_logged_at_powers_of_ten(tell: Tell, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(150):
        tell("kind='received'")
    assert len(caplog.records) == 3


def test_a_known_kind_without_an_event_is_quiet(tell: Tell, caplog: pytest.LogCaptureFixture) -> None:
    assert occurrence(tell("kind='subscribe' user='bob@example.org' pending='2'")).event is None
    assert not caplog.records


@pytest.mark.parametrize("host", ["evil.org", "example.org/x", "x@example.org", "EXAMPLE.ORG"])
def test_forged_events_do_nothing(tell: Tell, counters: dict[str, int], host: str) -> None:
    assert tell("kind='received' user='bob@example.org'", HELLO, host=host) is None
    assert counters["messages_ignored"] == 1


@pytest.mark.parametrize("n", ["", "-1", "x", "9" * 30, "²"])
def test_an_event_without_a_place_is_counted_and_dropped(
    reader: FeedReader, stanza: Make, counters: dict[str, int], n: str
) -> None:
    xml = entry(1, "kind='received' user='bob@example.org'", HELLO).replace("n='1'", f"n='{n}'")
    assert reader.read(stanza(xml)) is None
    assert counters["events_refused"] == 1


def test_a_replayed_entry_is_read_once(reader: FeedReader, stanza: Make, counters: dict[str, int]) -> None:
    xml = entry(5, "kind='received' user='bob@example.org'", HELLO)
    assert reader.read(stanza(xml)) is not None
    assert reader.read(stanza(xml)) is None
    assert counters["events_repeated"] == 1


def test_another_epoch_begins_anew(reader: FeedReader, stanza: Make) -> None:
    reader.read(stanza(entry(5, "kind='received' user='bob@example.org'", HELLO)))
    again = reader.read(stanza(entry(1, "kind='received' user='bob@example.org'", HELLO, epoch="E2")))
    assert occurrence(again).position == Position("F", "E2", 1)


def test_a_gap_that_nobody_told_of_is_counted(
    tell: Tell, reader: FeedReader, stanza: Make, counters: dict[str, int]
) -> None:
    tell("kind='host-removed'")
    reader.read(stanza(told("lost feed='F' epoch='E' from='2' to='5'")))
    reader.read(stanza(entry(6, "kind='host-removed'")))
    assert "events_gaps" not in counters
    reader.read(stanza(entry(9, "kind='host-removed'")))
    assert counters["events_gaps"] == 1


def test_a_resume_and_an_ack_say_where_we_stand(stanza: Make) -> None:
    first = stanza(feed_wire.resume("p.x", "x", "C", None, kinds="", bodies=True, window=7).decode())
    later = stanza(
        feed_wire.resume("p.x", "x", "C", Position("F", "E", 4), kinds="received", bodies=False, window=7).decode()
    )
    done = stanza(feed_wire.ack("p.x", "x", "C", Position("F'&", "E", 5)).decode())
    assert dict(first[0].items()) == {"version": "0", "consumer": "C", "bodies": "yes", "window": "7"}
    assert (later[0].get("feed"), later[0].get("n"), later[0].get("bodies")) == ("F", "4", "no")
    assert dict(done[0].items()) == {"feed": "F'&", "epoch": "E", "n": "5", "consumer": "C"}
    assert (done.get("from"), done.get("to")) == ("p.x", "x")
