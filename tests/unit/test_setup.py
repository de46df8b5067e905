"""What ``event-pusher setup`` writes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from event_pusher.registry import Registry
from event_pusher.settings import load
from event_pusher.setup import Kit, SetupError

SERVERS = ("ejabberd", "prosody")


def kit(server: str) -> Kit:
    return Kit(server, "example.org", "push.example.org")


@pytest.mark.parametrize("server", SERVERS)
def test_the_secret_is_made_once_and_private(server: str, tmp_path: Path) -> None:
    # Given what was written before
    kit(server).write(tmp_path)
    secret = (tmp_path / "component-secret").read_text()
    # When it is written again
    kit(server).write(tmp_path)
    # Then the secret is the same, long, and not everybody's
    assert (tmp_path / "component-secret").read_text() == secret
    assert len(secret.strip()) >= 32
    assert stat.S_IMODE((tmp_path / "component-secret").stat().st_mode) == 0o640


@pytest.mark.parametrize(("server", "fragment"), [("ejabberd", "ejabberd.yml"), ("prosody", "prosody.cfg.lua")])
def test_both_ends_have_the_same_secret_and_nobody_else(server: str, fragment: str, tmp_path: Path) -> None:
    kit(server).write(tmp_path)
    secret = (tmp_path / "component-secret").read_text().strip()
    assert secret in (tmp_path / fragment).read_text()
    assert stat.S_IMODE((tmp_path / fragment).stat().st_mode) == 0o640
    assert secret not in (tmp_path / "event-pusher.toml").read_text()


@pytest.mark.parametrize("server", SERVERS)
def test_our_configuration_is_complete(server: str, tmp_path: Path) -> None:
    kit(server).write(tmp_path)
    [source] = load(tmp_path / "event-pusher.toml", Registry()).sources
    assert source.settings.model_dump(include={"domain", "hosts"}) == {
        "domain": "push.example.org",
        "hosts": ("example.org",),
    }


def test_a_configuration_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "event-pusher.toml").write_text("mine")
    assert "event-pusher.toml" not in kit("ejabberd").write(tmp_path)
    assert (tmp_path / "event-pusher.toml").read_text() == "mine"


def test_ejabberds_fragment_serves_the_component_and_routes_nothing_else_to_it(tmp_path: Path) -> None:
    kit("ejabberd").write(tmp_path)
    told = yaml.safe_load((tmp_path / "ejabberd.yml").read_text())
    [listener] = told["listen"]
    assert (listener["module"], listener["port"], listener["ip"]) == ("ejabberd_service", 5347, "127.0.0.1")
    assert listener["global_routes"] is False
    assert list(listener["hosts"]) == ["push.example.org"]
    assert told["modules"]["mod_event_feed"]["component"] == "push.example.org"


@pytest.mark.parametrize("server", ["ejabberd", "prosody"])
def test_the_module_keeps_what_push_needs_and_no_more(server: str) -> None:
    text = kit(server).fragment()
    # Then messages that an online client takes or sends stay in the server
    assert "online: false" in text or "event_feed_online = false" in text
    assert "received" in text
    assert "unacked" in text
    assert '"sent"' not in text
    assert "- sent" not in text


def test_prosodys_fragment_has_host_component_and_collector() -> None:
    text = kit("prosody").fragment()
    for part in ('VirtualHost "example.org"', 'Component "push.example.org"', "gc = {", 'event_feed_component = "push'):
        assert part in text


@pytest.mark.parametrize("server", SERVERS)
def test_the_module_is_complete(server: str, tmp_path: Path) -> None:
    kit(server).write(tmp_path)
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    wanted = {
        "ejabberd": {"mod_event_feed.erl", "mod_event_feed_ring.erl", "mod_event_feed.spec"},
        "prosody": {"mod_event_feed.lua", "event_feed_ring.lib.lua"},
    }
    assert wanted[server] <= names


@pytest.mark.parametrize(("server", "rival"), [("ejabberd", "mod_push"), ("prosody", "cloud_notify")])
def test_the_steps_name_what_must_go_out(server: str, rival: str) -> None:
    assert rival in kit(server).steps(Path("/somewhere"))


@pytest.mark.parametrize(
    ("domain", "component", "said"),
    [
        ("example.org", "example.org", "write for instance --component push.example.org"),
        ('e"x', "push.example.org", "write one such as"),
        ("bob@example.org", "push.example.org", "write one such as"),
    ],
)
def test_names_that_cannot_be_are_refused_with_the_cure(domain: str, component: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        Kit("ejabberd", domain, component)


def test_a_secret_that_cannot_be_quoted_is_told(tmp_path: Path) -> None:
    (tmp_path / "component-secret").write_text('a"b')
    with pytest.raises(SetupError, match="delete it"):
        kit("prosody").write(tmp_path)
