"""Which gateway serves which virtual PubSub host."""

from __future__ import annotations

from event_pusher.registry import GATEWAYS
from tests.unit.settings.conftest import BASE, Faults, Read

ONE = '[gateways.mongoosepush]\nurl = "http://127.0.0.1:8080"\n'
TWO = ONE + '[gateways.second]\ntype = "mongoosepush"\n'


def test_a_list_of_hosts_goes_to_the_only_gateway(read: Read) -> None:
    settings = read(BASE + '[backends.push]\nvirtual_pubsub_hosts = ["push.@HOST@"]\n' + ONE)

    assert [one.name for one in settings.backends[0].gateways] == ["mongoosepush"]
    assert settings.enabled[GATEWAYS] == {"mongoosepush"}


def test_a_table_says_which_gateway_serves_which_host(read: Read) -> None:
    hosts = '{ "a.example.net" = "second", "b.example.net" = "mongoosepush" }'

    settings = read(BASE + f"[backends.push]\nvirtual_pubsub_hosts = {hosts}\n" + TWO)

    assert sorted(one.name for one in settings.backends[0].gateways) == ["mongoosepush", "second"]


def test_one_host_may_have_a_gateway_of_its_own(read: Read) -> None:
    special = '[hosts."example.org".backends.push]\nvirtual_pubsub_hosts = { "a.example.net" = "second" }\n'

    settings = read(BASE + "[backends.push]\n" + special + TWO)

    assert [one.name for one in settings.backends[0].gateways] == ["second"]


def test_a_list_with_two_gateways_is_asked_which(faults: Faults) -> None:
    told = faults(BASE + '[backends.push]\nvirtual_pubsub_hosts = ["a.example.net"]\n' + TWO)

    assert len(told) == 1
    assert told[0].startswith('backends.push.virtual_pubsub_hosts: say which gateway: { "HOST" = "GATEWAY" }')
    assert told[0].endswith("(there are: mongoosepush, second)")


def test_a_list_without_a_gateway_is_told_what_to_add(faults: Faults) -> None:
    told = faults(BASE + '[backends.push]\nvirtual_pubsub_hosts = ["a.example.net"]\n')

    assert "add a section [gateways.NAME]" in told[0]


def test_a_gateway_that_is_not_configured_is_told_with_the_nearest_one(faults: Faults) -> None:
    told = faults(BASE + '[backends.push]\nvirtual_pubsub_hosts = { "a.example.net" = "mongosepush" }\n' + ONE)

    assert 'no gateway "mongosepush" is configured; did you mean "mongoosepush"?' in told[0]


def test_what_is_wrong_with_gateways_comes_all_in_one_go(faults: Faults) -> None:
    told = faults(BASE + '[backends.push]\n[gateways.fcm]\n[gateways.mongoosepush]\nurl = "push"\nworker = 3\n')

    assert any('gateways.fcm: no gateway "fcm" is installed' in line for line in told)
    assert any('gateways.mongoosepush.url: must look like "https://host:8443"' in line for line in told)
    assert any('gateways.mongoosepush.worker: unknown key; did you mean "workers"?' in line for line in told)
