"""The registry, over real metadata: small dist-info folders on the path."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from event_pusher.abc import (
    Attempt,
    Backend,
    EventPlugin,
    Gateway,
    GatewaySettings,
    NoSettings,
    Notification,
    PushPlugin,
    Registration,
    Source,
)
from event_pusher.errors import PluginError
from event_pusher.registry import BACKENDS, EVENT_PLUGINS, GATEWAYS, PLUGINS, SOURCES, Registry, did_you_mean
from event_pusher.testing import StubRegistry
from event_pusher.testing.stubs import StubPushBackend

Install = Callable[..., None]

GOOD = """
from event_pusher.abc import Backend, Delivery, PushPlugin, Source, EventPlugin
class Good(Backend):
    def push_event(self, acc, event): return ()
    def publish(self, attempt): pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution on the path: its entry points (group, name, target), its modules, its extras."""
    before = set(sys.modules)

    def put(
        name: str, points: list[tuple[str, str, str]], *, modules: dict[str, str] | None = None, requires: str = ""
    ) -> None:
        folder = tmp_path / name
        info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        info.joinpath("entry_points.txt").write_text("".join(f"[{g}]\n{n} = {t}\n" for g, n, t in points))
        for module, text in (modules or {}).items():
            folder.joinpath(f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()

    yield put
    for module in set(sys.modules) - before:
        if module.startswith("stranger"):
            del sys.modules[module]


def refusal(find: Callable[[], Any]) -> str:
    with pytest.raises(PluginError) as caught:
        find()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_an_installed_backend_is_found_by_its_name(install: Install) -> None:
    # Given a stranger's package
    install("stranger", [(BACKENDS, "good", "stranger_good:Good")], modules={"stranger_good": GOOD})
    # When its backend is asked for, Then its class comes
    assert Registry().backend("good").__name__ == "Good"


def test_a_class_is_imported_once(install: Install) -> None:
    # Given a module that cannot be imported twice
    once = GOOD + "import builtins\nassert not hasattr(builtins, 'stranger_once')\nbuiltins.stranger_once = 1\n"
    install("stranger", [(BACKENDS, "good", "stranger_once:Good")], modules={"stranger_once": once})
    registry = Registry()
    first = registry.backend("good")
    # When it is asked for again, after the module was forgotten
    del sys.modules["stranger_once"]
    # Then it is the same class
    assert registry.backend("good") is first


def test_nothing_is_imported_that_was_not_asked_for(install: Install) -> None:
    # Given two backends, one of which breaks on import
    points = [(BACKENDS, "good", "stranger_good:Good"), (BACKENDS, "bad", "stranger_bad:Bad")]
    install("stranger", points, modules={"stranger_good": GOOD, "stranger_bad": "raise RuntimeError"})
    # When the other one is asked for
    Registry().backend("good")
    # Then the broken one was not touched
    assert "stranger_bad" not in sys.modules


def test_a_quick_reinstall_is_seen(install: Install) -> None:
    # Given a registry that was asked before the package was there
    assert "good" not in Registry().names(BACKENDS)
    # When it is installed a moment later
    install("stranger", [(BACKENDS, "good", "stranger_good:Good")], modules={"stranger_good": GOOD})
    # Then a new registry knows it
    assert Registry().backend("good").__name__ == "Good"


def test_a_missing_name_says_what_there_is_and_what_was_meant(install: Install) -> None:
    install("stranger", [(BACKENDS, "rabbit", "stranger_good:Good")])

    text = refusal(lambda: Registry().backend("rabit"))

    assert text.startswith('no backend "rabit" is installed (there are: ')
    assert text.endswith('did you mean "rabbit"?')


def test_a_missing_name_that_is_like_no_other_says_install() -> None:
    assert refusal(lambda: StubRegistry({}).source("zzz")).endswith(
        '"zzz" is installed (there are: none); install the package that brings it'
    )


def test_mongooseims_plugin_names_lead_to_ours() -> None:
    assert did_you_mean("mod_event_pusher_push_plugin_defaults", ["defaults", "hints"]) == 'did you mean "defaults"?'


def test_a_doubled_name_names_both_distributions_and_the_cure(install: Install) -> None:
    # Given two packages with the same name, not side by side
    install("stranger-one", [(BACKENDS, "good", "stranger_a:A"), (BACKENDS, "other", "stranger_o:O")])
    install("stranger-two", [(BACKENDS, "good", "stranger_b:B")])
    # When it is asked for
    text = refusal(lambda: Registry().backend("good"))
    # Then both are named
    assert 'backend "good" is there 2 times' in text
    assert "stranger-one 1.0 (stranger_a:A)" in text
    assert "stranger-two 1.0 (stranger_b:B)" in text
    assert text.endswith("uninstall all but one")


def test_a_distribution_that_lies_on_the_path_twice_counts_once(install: Install, tmp_path: Path) -> None:
    # Given the same distribution in a checkout and installed
    install("stranger", [(BACKENDS, "good", "stranger_good:Good")], modules={"stranger_good": GOOD})
    other = tmp_path / "again" / "Stranger-1.0.dist-info"
    other.mkdir(parents=True)
    other.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: Stranger\nVersion: 1.0\n")
    other.joinpath("entry_points.txt").write_text(f"[{BACKENDS}]\ngood = stranger_good:Good\n")
    sys.path.append(str(other.parent))
    # When its backend is asked for, Then it is no double
    try:
        assert Registry().backend("good").__name__ == "Good"
    finally:
        sys.path.remove(str(other.parent))


def test_half_removed_distributions_are_no_trouble(install: Install, tmp_path: Path) -> None:
    # Given two folders that have entry points and no metadata, as a broken removal leaves them
    for name in ("good", "other"):
        install(f"stranger-{name}", [(BACKENDS, name, "stranger_good:Good")], modules={"stranger_good": GOOD})
    for metadata in tmp_path.rglob("METADATA"):
        metadata.unlink()
    # When the registry looks, Then it finds both
    assert {"good", "other"} <= set(Registry().names(BACKENDS))


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        ("raise RuntimeError('no\\nluck')", "RuntimeError: no luck"),
        ("assert False, 'stevedore lets this one through'", "AssertionError: stevedore lets this one through"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError: "),
        ("", "AttributeError: module 'stranger_bad' has no attribute 'Bad'"),
    ],
)
def test_what_cannot_be_imported_is_named_with_distribution_target_and_cause(
    install: Install, module: str, cause: str
) -> None:
    install("stranger", [(BACKENDS, "bad", "stranger_bad:Bad")], modules={"stranger_bad": module})

    text = refusal(lambda: Registry().backend("bad"))

    assert text.startswith('backend "bad" of stranger 1.0 (stranger_bad:Bad) cannot be imported: ')
    assert cause in text
    assert text.endswith("reinstall or update stranger, or take it out of the configuration")


@pytest.mark.parametrize(
    ("requires", "cure"),
    [
        ('Provides-Extra: amqp\nRequires-Dist: absent-client>=1; extra == "amqp"\n', "pip install 'stranger[amqp]'"),
        ("Provides-Extra: bad\n", "pip install 'stranger[bad]'"),
        ("", "install what brings the module absent_client"),
    ],
)
def test_a_client_library_that_is_away_becomes_the_pip_line(install: Install, requires: str, cure: str) -> None:
    text = "import absent_client.deep"
    install("stranger", [(BACKENDS, "bad", "stranger_bad:Bad")], modules={"stranger_bad": text}, requires=requires)

    assert refusal(lambda: Registry().backend("bad")).endswith(cure)


def test_a_module_of_its_own_that_is_away_is_no_matter_of_extras(install: Install) -> None:
    install("stranger", [(BACKENDS, "bad", "stranger_nowhere:Bad")], requires="Provides-Extra: bad\n")

    assert "reinstall or update stranger" in refusal(lambda: Registry().backend("bad"))


class Silent(Backend[Any]):
    def push_event(self, acc: object, event: object) -> tuple[()]:
        return ()


class Abstract(Backend[Any]):
    def publish(self, attempt: object) -> None:
        pass


class Loose(StubPushBackend):
    Settings = dict  # type: ignore[assignment]  # the fault that is tested


@pytest.mark.parametrize(
    ("loaded", "why"),
    [
        (Silent, "has neither publish nor publish_many; its author must write one"),
        (Abstract, "is abstract; its author must write push_event"),
        (PushPlugin, "is not a subclass of event_pusher.abc.Backend"),
        (len, "is not a subclass of event_pusher.abc.Backend"),
        (Loose, "its Settings must be a subclass of event_pusher.abc.BackendSettings"),
    ],
)
def test_a_class_that_is_no_backend_is_refused(loaded: Any, why: str) -> None:
    registry = StubRegistry({BACKENDS: {"odd": loaded}})

    assert why in refusal(lambda: registry.backend("odd"))


def test_each_group_takes_its_own_kind_of_class() -> None:
    registry = StubRegistry(
        {
            SOURCES: {"wrong": StubPushBackend},
            EVENT_PLUGINS: {"right": EventPlugin, "wrong": PushPlugin},
            BACKENDS: {"push": StubPushBackend},
            PLUGINS + "push": {"right": PushPlugin, "wrong": EventPlugin},
        }
    )

    assert registry.plugin("push", "right") is PushPlugin
    assert registry.plugin("events", "right") is EventPlugin
    assert Source.__name__ in refusal(lambda: registry.source("wrong"))
    assert "EventPlugin" in refusal(lambda: registry.plugin("events", "wrong"))
    assert "PushPlugin" in refusal(lambda: registry.plugin("push", "wrong"))


def test_a_backend_that_takes_no_plugins_gets_none() -> None:
    class Plain(StubPushBackend):
        Plugin = None

    registry = StubRegistry({BACKENDS: {"plain": Plain}, PLUGINS + "plain": {"some": PushPlugin}})

    assert 'the backend "plain" takes no plugins' in refusal(lambda: registry.plugin("plain", "some"))


def test_the_listing_shows_what_is_installed_enabled_broken_and_absent(install: Install) -> None:
    # Given a package with a good, a broken and an untouched backend
    points = [(BACKENDS, name, f"stranger_{name}:Good") for name in ("good", "bad", "idle")]
    install("stranger", points, modules={"stranger_good": GOOD, "stranger_bad": "raise RuntimeError('x')"})
    # When the good, the broken and one that is not there are enabled
    rows = {row.name: row for row in Registry().listing({BACKENDS: {"good", "bad", "ghost"}})}
    # Then each says how it stands, and only what is enabled was imported
    assert {name: rows[name].state for name in ("good", "bad", "idle", "ghost")} == {
        "good": "enabled",
        "bad": "broken",
        "idle": "installed",
        "ghost": "broken",
    }
    assert "RuntimeError: x" in rows["bad"].why
    assert 'no backend "ghost" is installed' in rows["ghost"].why
    good = rows["good"]
    assert (good.group, good.distribution, good.version, good.target) == (
        BACKENDS,
        "stranger",
        "1.0",
        "stranger_good:Good",
    )
    assert "stranger_idle" not in sys.modules


def test_a_group_that_holds_no_classes_is_listed_too(install: Install) -> None:
    install("stranger", [("event_pusher.migrations", "stranger", "stranger_good")], modules={"stranger_good": GOOD})

    rows = Registry().listing({"event_pusher.migrations": {"stranger"}})

    assert [(row.state, row.why) for row in rows if row.name == "stranger"] == [("enabled", "")]


def test_the_listing_shows_doubled_names_even_when_they_are_not_in_use(install: Install) -> None:
    install("stranger-one", [(BACKENDS, "twice", "stranger_a:A")])
    install("stranger-two", [(BACKENDS, "twice", "stranger_b:B")])

    rows = [row for row in Registry().listing({}) if row.name == "twice"]

    assert [row.state for row in rows] == ["broken", "broken"]


class Opens(Gateway[GatewaySettings]):
    def publish(self, attempt: Attempt, registration: Registration, notification: Notification) -> None:
        pass


class LooseGateway(Opens):
    Settings = NoSettings  # type: ignore[assignment]  # what is refused


@pytest.mark.parametrize(
    ("loaded", "why"),
    [
        (StubPushBackend, "is not a subclass of event_pusher.abc.Gateway"),
        (Gateway, "is abstract; its author must write publish"),
        (LooseGateway, "its Settings must be a subclass of event_pusher.abc.GatewaySettings"),
    ],
)
def test_a_class_that_is_no_gateway_is_refused(loaded: Any, why: str) -> None:
    registry = StubRegistry({GATEWAYS: {"odd": loaded, "sound": Opens}})
    assert registry.gateway("sound") is Opens
    with pytest.raises(PluginError, match='gateway "odd"') as caught:
        registry.gateway("odd")
    assert why in str(caught.value)


def test_a_gateway_that_is_missing_or_doubled_is_told(install: Install) -> None:
    install("stranger-one", [(GATEWAYS, "twice", "stranger_a:A")])
    install("stranger-two", [(GATEWAYS, "twice", "stranger_b:B")])
    with pytest.raises(PluginError, match=r'gateway "twice" is there 2 times: stranger-.* and stranger-'):
        Registry().gateway("twice")
    with pytest.raises(PluginError, match=r'no gateway "mongosepush" is installed .*did you mean "mongoosepush"'):
        Registry().gateway("mongosepush")
