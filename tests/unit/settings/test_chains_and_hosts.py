"""Chains of plugins, and what a host says otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from event_pusher.settings import Settings

Read = Callable[[str], Settings]
Faults = Callable[[str], tuple[str, ...]]

BASE = """
[database]
url = "sqlite:///event-pusher.db"
[sources.inlet]
"""

NO_SUCH_PLUGIN = (
    'no push plugin "mod_event_pusher_push_plugin_defaults" is installed (there are: defaults, mute); '
    'did you mean "defaults"?'
)


@pytest.mark.parametrize(
    ("said", "chain"),
    [
        ("", ["defaults"]),
        ('plugin_module = "mute"', ["mute", "defaults"]),
        ('plugin_module = ["mute"]', ["mute", "defaults"]),
        ('plugin_module = ["mute", "defaults"]', ["mute", "defaults"]),
        ("plugin_module = []", ["defaults"]),
    ],
)
def test_a_chain_ends_with_defaults(read: Read, said: str, chain: list[str]) -> None:
    (backend,) = read(f"{BASE}[backends.push]\n{said}").backends

    assert [plugin.name for plugin in backend.plugins] == chain


def test_a_plugin_gets_its_own_section(read: Read) -> None:
    (backend,) = read(f'{BASE}[backends.push]\nplugin_module = "mute"\n[plugins.push.mute]\nhours = [1, 2]').backends

    assert backend.plugins[0].settings.model_dump()["hours"] == (1, 2)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (
            'plugin_module = "mod_event_pusher_push_plugin_defaults"',
            f"backends.push.plugin_module: {NO_SUCH_PLUGIN}",
        ),
        ('plugin_module = ["mute", "mute"]', 'backends.push.plugin_module: "mute" stands there more than once'),
        (
            'plugin_module = ["defaults", "mute"]',
            'backends.push.plugin_module: "defaults" answers everything: what stands behind it would never be asked',
        ),
        (
            'plugin_module = "mute"\n[plugins.push.mute]\nhous = [1, 2]',
            'plugins.push.mute.hous: unknown key; did you mean "hours"?',
        ),
        ("[plugins.push.mut]", 'plugins.push.mut: no such push plugin is installed; did you mean "mute"?'),
        ("[plugins.pusch.mute]", 'plugins.pusch: no backend of this type; did you mean "push"?'),
    ],
)
def test_a_chain_that_is_wrong_says_how(faults: Faults, said: str, fault: str) -> None:
    assert faults(f"{BASE}[backends.push]\n{said}") == (fault,)


def test_the_section_of_a_plugin_that_is_not_in_use_may_stay(read: Read) -> None:
    assert read(f"{BASE}[backends.push]\n[plugins.push.mute]\nhours = [1, 2]").backends


def test_a_host_may_say_otherwise_and_keeps_the_rest(read: Read) -> None:
    # Given a backend's section and a host's
    (backend,) = read(
        BASE
        + '[backends.push]\ncontent = "marker"\nmax_registrations = 7\n'
        + '[hosts."Example.ORG".backends.push]\ncontent = "full"\nplugin_module = "mute"'
    ).backends
    # Then the host's lies over the backend's, by its normalised name
    special = backend.host_settings["example.org"].model_dump()
    assert (special["content"], special["max_registrations"]) == ("full", 7)
    assert [plugin.name for plugin in backend.host_plugins["example.org"]] == ["mute", "defaults"]
    # And the backend's own stays as it was
    assert backend.settings.model_dump()["content"] == "marker"
    assert [plugin.name for plugin in backend.plugins] == ["defaults"]


def test_a_host_that_keeps_the_chain_has_none_of_its_own(read: Read) -> None:
    (backend,) = read(f'{BASE}[backends.push]\n[hosts."example.org".backends.push]\ncontent = "full"').backends

    assert backend.host_plugins == {}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (
            '[hosts."exampel.org".backends.push]',
            'hosts."exampel.org": no source serves this host; did you mean "example.org"?',
        ),
        (
            '[hosts."example.org".backends.pusch]',
            'hosts."example.org".backends.pusch: no such backend is configured; did you',
        ),
        ('[hosts."example.org".backend.push]', 'hosts."example.org".backend: unknown key; did you mean "backends"?'),
        (
            '[hosts."example.org".backends.push]\ncontent = "all"',
            "hosts.\"example.org\".backends.push.content: must be 'none', 'marker', 'sender' or 'full'",
        ),
        (
            '[hosts."example.org".backends.push]\nwpool = { workers = 3 }',
            'hosts."example.org".backends.push.wpool: cannot differ between hosts; set it in [backends.push]',
        ),
        (
            '[hosts."example.org".backends.push]\nplugin_module = "mut"',
            'hosts."example.org".backends.push.plugin_module: no push plugin "mut" is installed',
        ),
    ],
)
def test_a_hosts_section_is_checked_like_any_other(faults: Faults, said: str, fault: str) -> None:
    (found,) = faults(f"{BASE}[backends.push]\n{said}")

    assert found.startswith(fault)


def test_a_fault_of_the_backend_is_not_told_again_for_each_host(faults: Faults) -> None:
    found = faults(
        f'{BASE}[backends.push]\ncontent = "all"\n[hosts."example.org".backends.push]\ndry_run = true\nonly_users = 5'
    )

    assert [fault.partition(": ")[0] for fault in found] == [
        "backends.push.content",
        'hosts."example.org".backends.push.only_users',
    ]
