"""The section ``[backends.http]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from webhooks import make_backend

from event_pusher.errors import SettingsError
from event_pusher.registry import BACKENDS, PLUGINS, SOURCES, Registry
from event_pusher.settings import Settings, load
from event_pusher.sources.component import ComponentSource
from event_pusher.testing import StubRegistry
from event_pusher_http.backend import HttpBackend
from event_pusher_http.settings import HandlerSettings, masked
from event_pusher_http_plugins.defaults import DefaultsPlugin
from event_pusher_http_plugins.json import JsonPlugin
from event_pusher_http_plugins.standard_webhooks import StandardWebhooksPlugin

REGISTRY = StubRegistry(
    {
        SOURCES: {"component": ComponentSource},
        BACKENDS: {"http": HttpBackend},
        PLUGINS + "http": {
            "defaults": DefaultsPlugin,
            "json": JsonPlugin,
            "standard_webhooks": StandardWebhooksPlugin,
        },
    }
)
BASE = """
[database]
url = "sqlite:///event-pusher.db"
[sources.component]
domain = "push.example.org"
secret = "s3cret"
hosts = ["example.org"]
[backends.http]
"""


def read(folder: Path, text: str) -> Settings:
    path = folder / "event-pusher.toml"
    path.write_text(BASE + text, encoding="utf-8")
    return load(path, REGISTRY)


def faults(folder: Path, text: str) -> Sequence[str]:
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    return caught.value.faults


def handlers(settings: Settings) -> tuple[HandlerSettings, ...]:
    found: tuple[HandlerSettings, ...] = getattr(settings.backends[0].settings, "handlers")  # noqa: B009 - of any backend
    return found


def test_without_handlers_there_is_nothing_to_send(tmp_path: Path) -> None:
    assert handlers(read(tmp_path, "")) == ()


def test_a_handler_needs_a_url_alone(tmp_path: Path) -> None:
    (one,) = handlers(read(tmp_path, 'handlers = [{ url = "https://hook.example.net/x" }]'))

    assert (one.method, one.callback_module, set(one.events)) == ("POST", ("defaults",), {"chat"})
    assert (one.connect_timeout, one.read_timeout, one.concurrency, one.tls.verify) == (5.0, 15.0, 10, True)


def test_handlers_may_be_tables(tmp_path: Path) -> None:
    text = """
[[backends.http.handlers]]
url = "https://hook.example.net/push"
callback_module = ["json"]
read_timeout = "2s"
headers = { Authorization = "Bearer 1" }
[[backends.http.handlers]]
url = "https://hook.example.net/push"
callback_module = "defaults"
"""
    settings = read(tmp_path, text)

    assert [one.callback_module for one in handlers(settings)] == [("json",), ("defaults",)]
    assert {key: len(chain) for key, chain in settings.backends[0].chains.items()} == {("json",): 2, ("defaults",): 1}


@pytest.mark.parametrize(
    ("handler", "fault"),
    [
        ("{}", "handlers[0].url: is missing"),
        ('{ url = "" }', 'handlers[0].url: a URL must look like "https://host/path" or "http://host:8080/path"'),
        ('{ url = "ftp://h/" }', "handlers[0].url: a URL must look like"),
        ('{ url = "https:///x" }', "handlers[0].url: a URL must look like"),
        ('{ url = "https://h:99999/" }', "handlers[0].url: a URL must look like"),
        ('{ url = "https://h/a b" }', "handlers[0].url: a URL has no blanks"),
        ('{ url = "https://bücher.example/" }', "handlers[0].url: a URL has no blanks"),
        ('{ url = "https://h/#x" }', "handlers[0].url: a URL that is asked has no fragment"),
        ('{ url = "https://h/", method = "GET" }', "handlers[0].method: must be 'POST', 'PUT' or 'PATCH'"),
        ('{ url = "https://h/", callback_module = "jason" }', 'handlers[0].callback_module: no http plugin "jason"'),
        ('{ url = "https://h/", events = ["chats"] }', "handlers[0].events[0]: must be 'chat'"),
        ('{ url = "https://h/", headers = { "X Y" = "1" } }', "handlers[0].headers: the name of a header is made of"),
        ('{ url = "https://h/", headers = { Host = "x" } }', "handlers[0].headers: Host is written by the connection"),
        (
            '{ url = "https://h/", headers = { a = "1", A = "2" } }',
            "handlers[0].headers: a stands there more than once",
        ),
        ('{ url = "https://h/", concurrency = 0 }', "handlers[0].concurrency: "),
        ('{ url = "https://h/", read_timeout = 0 }', "handlers[0].read_timeout: "),
        ('{ url = "https://h/", read_timeout = 60 }', "handlers[0]: connect_timeout and read_timeout together"),
        ('{ url = "https://h/", tls = { certificate = "PEM" } }', "handlers[0].tls.certificate: must be { file"),
        ('{ url = "https://h/", allow_networks = ["10/99"] }', "handlers[0].allow_networks: a network is written"),
        ('{ url = "https://h/", secrets = [{ file = "no" }] }', "handlers[0].secrets[0]: cannot read the secret file"),
        ('{ url = "http://h/", tls = { verify = false } }', "handlers[0]: tls is of no use with http://"),
        ('{ url = "https://h/", allow_networks = ["10.0.0.0/8"] }', "handlers[0]: allow_networks is of no use without"),
        ('{ url = "https://h/", tls = { key = { file = "k" } } }', "handlers[0].tls: key and key_password are of no"),
        ('{ url = "https://h/", pool_name = "p" }', "handlers[0].pool_name: unknown key"),
    ],
)
def test_a_handler_that_is_wrong_says_how(tmp_path: Path, handler: str, fault: str) -> None:
    (found,) = faults(tmp_path, f"handlers = [{handler}]")

    assert fault in found
    assert found.startswith("backends.http")


@pytest.mark.parametrize("other", ["https://h/x?a", "https://h/x?b", "https://user@h/x?a"])
def test_handlers_are_unique(tmp_path: Path, other: str) -> None:
    (found,) = faults(tmp_path, f'handlers = [{{ url = "https://h/x?a" }}, {{ url = "{other}" }}]')

    assert "handlers[0] and handlers[1] are the same; give each a name of its own" in found


def test_handlers_with_names_may_have_one_url(tmp_path: Path) -> None:
    text = 'handlers = [{ url = "https://h/", name = "a" }, { url = "https://h/", name = "b" }]'

    assert [one.key for one in handlers(read(tmp_path, text))] == ["a", "b"]


def test_a_host_may_have_handlers_of_its_own(tmp_path: Path) -> None:
    # Given a host with another handler
    own = '[[hosts."example.org".backends.http.handlers]]\nurl = "https://own/"\ncallback_module = "json"'
    settings = read(tmp_path, 'handlers = [{ url = "https://all/" }]\n' + own)
    # Then both chains are made
    assert set(settings.backends[0].chains) == {("defaults",), ("json",)}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h", "https://h/"),
        ("https://user:pw@h:8443/a/b", "https://h:8443/a/b"),
        ("https://h/a?token=x", "https://h/a?…"),
        ("http://u@[::1]:80/?", "http://[::1]:80/"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_a_handler_shows_no_secret() -> None:
    secret: dict[str, Any] = {
        "url": "https://u:s3cret@h/?s3cret",
        "headers": {"X": "s3cret"},
        "secrets": ["s3cret"],
        "proxy": "http://u:s3cret@proxy:1",
        "tls": {"ca": "s3cret"},
    }

    assert "s3cret" not in repr(HandlerSettings.model_validate(secret)) + HandlerSettings.model_validate(secret).key


def test_a_proxy_that_is_no_url_refuses_the_start(tmp_path: Path) -> None:
    settings = read(tmp_path, 'handlers = [{ url = "https://h/", proxy = "s3cret" }]').backends[0].settings

    with pytest.raises(SettingsError) as caught:
        make_backend(settings)  # type: ignore[arg-type]  # it is HttpSettings

    assert "the URL of a proxy must look like" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_ours_are_found_like_a_strangers() -> None:
    registry = Registry()

    assert registry.backend("http") is HttpBackend
    assert registry.plugin("http", "standard_webhooks") is StandardWebhooksPlugin
