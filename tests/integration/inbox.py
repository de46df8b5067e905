"""What arrived, in order, on some other thread; a test takes what it waits for and never sleeps."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
TIMEOUT = 15.0


class Inbox(Generic[T]):
    """One or more threads put, the test takes."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._news = threading.Condition()

    def put(self, item: T) -> None:
        """Add it at the end (any thread)."""
        with self._news:
            self._items.append(item)
            self._news.notify_all()

    def take(self, fits: Callable[[T], bool], timeout: float = TIMEOUT) -> T:
        """The first item that fits, waiting for it when need be; it is taken out."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for index, item in enumerate(self._items):
                    if fits(item):
                        return self._items.pop(index)
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise AssertionError(f"not within {timeout} s; there is: {self._items}")

    def take_all(self, fits: Callable[[T], bool]) -> list[T]:
        """All items that fit and are there now, oldest first; they are taken out."""
        with self._news:
            found = [item for item in self._items if fits(item)]
            self._items = [item for item in self._items if not fits(item)]
        return found
