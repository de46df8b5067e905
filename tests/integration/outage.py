"""A conversation that goes on whatever happens to the daemon, and what must have become of it."""

import os
import threading
import time
from collections.abc import Callable
from typing import Self

from people import Person
from world import World

#: Messages a second.
RATE = 20
#: How long the daemon is away; set 120 for the two minutes that are promised.
SECONDS = float(os.environ.get("EVENT_PUSHER_OUTAGE_SECONDS", "15"))


class Conversation:
    """Alice writes to each of `absent` in turn, `RATE` messages a second, until `end`; a context manager."""

    def __init__(self, alice: Person, absent: list[str]) -> None:
        self.said: list[str] = []
        self._alice = alice
        self._absent = absent
        self._news = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._talk, name="conversation", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Fall silent; returns when the server has routed all."""
        self._ending.set()
        self._thread.join(30)
        self._alice.settle()

    def go_on(self, seconds: float) -> int:
        """Return when it has gone on for so long: when the messages of that time are said. Gives how many there are."""
        with self._news:
            wanted = len(self.said) + int(seconds * RATE)
            assert self._news.wait_for(lambda: len(self.said) >= wanted, seconds * 2 + 10), "alice has fallen silent"
            return len(self.said)

    def to(self, jid: str) -> list[str]:
        """What was said to one of them."""
        return self.said[self._absent.index(jid) :: len(self._absent)]

    def _talk(self) -> None:
        began = time.monotonic()
        while not self._ending.wait(max(0.0, began + len(self.said) / RATE - time.monotonic())):
            number = len(self.said)
            self._alice.message(self._absent[number % len(self._absent)], f"message {number}")
            with self._news:
                self.said.append(f"message {number}")
                self._news.notify_all()


def all_pushed(world: World, talk: Conversation, nodes: dict[str, str], *, crashed: bool = False) -> None:
    """Every message was pushed once, in order, to each of `nodes` (account → node)."""
    for jid, node in nodes.items():
        assert world.bodies(jid, node, crashed=crashed) == talk.to(jid)


def absent(world: World, name: str, number: int) -> dict[str, str]:
    """So many accounts that have enabled push and are away: account → node."""
    nodes = [f"{name}-{index}" for index in range(number)]
    return {world.absent(node): node for node in nodes}


def eventually(true: Callable[[], bool], timeout: float = 15.0) -> bool:
    """Whether it comes true, for what tells of itself only when asked."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
