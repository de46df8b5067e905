"""Two backends of one type: each has its rows, which find it again after a restart, and miss it after a rename."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from event_pusher.abc import DELIVERED, Unsent
from event_pusher.registry import Registry
from event_pusher.settings import load
from tests.unit.running import CONFIG, Place
from tests.unit.support import Post, Rig, Rigs, post

TWO = """
[backends.first]
type = "log"
[backends.second]
type = "log"
bodies = true
"""


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place(more=TWO)
    yield place
    place.remove()


def posts(rig: Rig) -> dict[str, Post]:
    return {name: backend for name, backend in rig.built.backends.items() if isinstance(backend, Post)}


def test_each_has_options_of_its_own(place: Place) -> None:
    found = {one.name: (one.type, one.settings) for one in place.settings.backends}
    assert (found["first"][0], found["second"][0]) == ("log", "log")
    assert [getattr(found[name][1], "bodies", None) for name in ("first", "second")] == [False, True]


def test_rows_find_their_backend_again_after_a_restart(rigs: Rigs) -> None:
    # Given two of a kind, of which the second could send nothing
    rig = rigs(backends=(post("first"), post("second")))
    posts(rig)["second"].answer = Unsent("it is away")
    rig.give(rig.message("hello"))
    rig.turn(3)
    assert [row["backend"] for row in rig.rows(state="waiting")] == ["second"]
    rig.close()
    # When everything is started again, in another order
    again = rigs(backends=(post("second"), post("first")))
    again.turn(3, seconds=2.0)
    # Then the second has sent it, and the first has not sent it again
    assert (posts(again)["second"].payloads, posts(again)["first"].payloads) == (["hello"], [])


@pytest.fixture
def renamed(rigs: Rigs) -> Callable[[], Rig]:
    """Start with a backend that was called otherwise when two deliveries were accepted."""

    def starting() -> Rig:
        rig = rigs(backends=(post("old"),))
        posts(rig)["old"].answer = Unsent("it is away")
        rig.give(rig.message("one"), rig.message("two"))
        rig.close()
        return rigs(backends=(post("new"),))

    return starting


def test_a_rename_is_told_at_the_start_with_number_and_cure(
    renamed: Callable[[], Rig], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        renamed()
    (told,) = [line for line in caplog.messages if line.startswith("backends.old")]
    assert '2 deliveries wait for a backend of the name "old"' in told
    assert "event-pusher deliveries discard --backend old" in told


def test_what_waits_for_the_old_name_waits_until_it_is_back(renamed: Callable[[], Rig], rigs: Rigs) -> None:
    # Given a rename, after which nothing of the old name was sent
    rig = renamed()
    rig.turn(3, seconds=2.0)
    assert posts(rig)["new"].payloads == []
    rig.close()
    # When the old name is back
    again = rigs(backends=(post("old"),))
    again.turn(5, seconds=2.0)
    # Then it is sent
    assert posts(again)["old"].answer == DELIVERED
    assert sorted(posts(again)["old"].payloads) == ["one", "two"]


def test_check_names_what_is_left_behind_and_the_cure(place: Place) -> None:
    # Given deliveries of a backend that has been renamed since
    rig = Rig(place.folder, backends=(post("first"),))
    posts(rig)["first"].answer = Unsent("it is away")
    rig.give(rig.message("one"))
    rig.close()
    place.config.write_text(place.config.read_text().replace("[backends.first]", "[backends.other]"))
    # When it is checked
    done = place.run("check", "--json")
    # Then it fails, with name, number and cure
    (told,) = [one for one in json.loads(done.stdout) if one["level"] == "FAIL"]
    assert done.exit_code == 1
    assert told["text"] == 'backends.first: 1 delivery waits for a backend of the name "first", and none is configured'
    assert "give the backend its name back ([backends.first]" in told["cure"]


def test_a_host_may_have_options_of_its_own_for_one_of_the_two(tmp_path: Path) -> None:
    # Given two of a kind, and a host that says something else of the second
    path = tmp_path / "event-pusher.toml"
    special = '[hosts."example.org".backends.second]\nbodies = false\n'
    path.write_text(
        CONFIG.format(server="127.0.0.1:1", more=TWO + special).replace('{ file = "component-secret" }', '"x"')
    )
    # When it is loaded
    found: dict[str, Any] = {one.name: one for one in load(path, Registry()).backends}
    # Then the second alone has it
    assert found["first"].host_settings == {}
    assert found["second"].host_settings["example.org"].bodies is False
