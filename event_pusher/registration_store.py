"""What keeps registrations: the seam between who uses them and where they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from event_pusher.registration import PublishOptions, Registration

#: Most records in one listing.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Record:
    """
    A registration with its history, for people. Times are UTC seconds.

    `disabled_at` None = enabled by its user; `paused_at` None = not paused by an operator.
    """

    registration: Registration
    created_at: float
    updated_at: float
    disabled_at: float | None = None
    disabled_reason: str | None = None
    paused_at: float | None = None
    paused_reason: str | None = None


class RegistrationStore(ABC):
    """Reads as `event_pusher.abc.Registrations`, writes for `<enable/>`, `<disable/>`, removals and strikes."""

    @abstractmethod
    def for_users(self, users: Sequence[str]) -> Mapping[str, Sequence[Registration]]:
        """The enabled registrations of each of `users` that are not paused, oldest first; without any, no key."""

    @abstractmethod
    def enable(
        self, user: str, service: str, node: str, options: PublishOptions, now: float, limit: int
    ) -> Registration | None:
        """
        Store or renew a registration: options are replaced, a disabled one is revived, a paused one stays paused.

        None, and nothing stored, when `user` has `limit` others enabled.
        """

    @abstractmethod
    def disable(self, user: str, service: str, node: str | None) -> list[int]:
        """Delete what the user takes back, disabled ones too; None = every node. Gives the ids."""

    @abstractmethod
    def remove_user(self, user: str) -> list[int]:
        """Delete all of a removed account; gives the ids."""

    @abstractmethod
    def remove_host(self, host: str) -> list[int]:
        """Delete all accounts' of a removed domain; gives the ids."""

    @abstractmethod
    def mark_disabled(self, ids: Sequence[int], reason: str, now: float) -> None:
        """Disable what the push service refused for good; it stays visible, and an `enable` revives it."""

    @abstractmethod
    def list_(
        self,
        *,
        user: str | None = None,
        host: str | None = None,
        service: str | None = None,
        enabled: bool | None = None,
        after: int = 0,
        limit: int = CHUNK,
    ) -> list[Record]:
        """List by id above `after`, all that match every argument given."""

    @abstractmethod
    def show(self, id_: int) -> Record | None:
        """One registration, enabled or not; None when there is none."""

    @abstractmethod
    def delete(self, ids: Sequence[int]) -> list[int]:
        """Delete for good; gives the ids that were there."""

    @abstractmethod
    def pause(self, ids: Sequence[int], reason: str, now: float) -> list[int]:
        """Select them for nothing new until `resume`, whatever the client does; gives the ids that were there."""

    @abstractmethod
    def resume(self, ids: Sequence[int]) -> list[int]:
        """End the pause; gives the ids that were there."""

    @abstractmethod
    def put(self, records: Sequence[Record]) -> None:
        """Store `records` as they are, but for their ids, over those of the same user, service and node."""

    @abstractmethod
    def find(self, user: str, service: str, node: str) -> Record | None:
        """The registration of this user at this node, None without it."""
