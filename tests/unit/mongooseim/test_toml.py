"""`event-pusher init --from` a MongooseIM 6 configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_pusher_push.settings import PushSettings
from tests.unit.mongooseim.conftest import Init
from tests.unit.running import run

PUSH = """
[general]
hosts = ["example.org", "other.org"]
[modules.mod_event_pusher.push]
backend = "rdbms"
wpool.workers = 200
plugin_module = "mod_event_pusher_push_plugin_defaults"
"""
HTTP = """
[outgoing_pools.http.http_pool]
workers = 50
[outgoing_pools.http.http_pool.connection]
host = "http://127.0.0.1:8000"
path_prefix = "/webservice/"
request_timeout = 3000
[[modules.mod_event_pusher.http.handlers]]
path = "/notifications"
callback_module = "mod_event_pusher_http_defaults"
"""
RABBIT = """
[outgoing_pools.rabbit.event_pusher]
connection.host = "mq.example.org"
connection.username = "pusher"
connection.password = "r4bbit-s3cret"
connection.virtual_host = "chat"
[modules.mod_event_pusher.rabbit.chat_msg_exchange]
name = "chat"
durable = true
[modules.mod_event_pusher.rabbit.presence_exchange]
"""
SNS = """
[modules.mod_event_pusher.sns]
region = "eu-west-1"
account_id = "123456789012"
access_key_id = "AKIA-s3cret"
secret_access_key = "sns-s3cret"
sns_host = "sns.eu-west-1.amazonaws.com"
pm_messages_topic = "messages"
plugin_module = "mod_event_pusher_sns_defaults"
pool_size = 50
"""


def test_the_options_of_push_are_those_of_before(init: Init) -> None:
    push = init(PUSH).backend("push")
    assert isinstance(push, PushSettings)
    assert (push.backend, push.wpool.workers, push.plugin_module, push.content) == ("rdbms", 200, "defaults", "full")


def test_the_hosts_are_those_of_general(init: Init) -> None:
    assert init(PUSH).settings.sources[0].settings.hosts == ("example.org", "other.org")  # type: ignore[attr-defined]  # the component's


def test_mnesia_becomes_rdbms_and_is_told(init: Init) -> None:
    done = init(PUSH.replace('"rdbms"', '"mnesia"'))
    assert done.backend("push").backend == "rdbms"
    assert "push.backend: registrations in mnesia are not taken along" in done.said


def test_a_handler_gets_the_url_of_its_pool(init: Init) -> None:
    (handler,) = init(HTTP).backend("http").handlers
    assert handler.url == "http://127.0.0.1:8000/webservice/notifications"
    assert (handler.callback_module, handler.read_timeout, handler.concurrency) == (("defaults",), 3.0, 50)


def test_prefix_and_path_are_put_together_as_mongooseim_does(init: Init) -> None:
    done = init(HTTP.replace("/webservice/", "/webservice"))
    (handler,) = done.backend("http").handlers
    assert handler.url == "http://127.0.0.1:8000/webservicenotifications"
    assert "without a slash" in done.said


def test_a_handler_without_a_pool_is_left_out_and_told(init: Init) -> None:
    done = init(HTTP.replace("http_pool]", "another]").replace("http_pool.connection", "another.connection"))
    assert done.backend("http").handlers == ()
    assert "there is no outgoing_pools.http.http_pool" in done.said
    assert "outgoing_pools.http.another: not used by mod_event_pusher" in done.said


def test_the_password_of_a_url_becomes_a_header_in_a_file(init: Init) -> None:
    done = init(HTTP.replace("http://", "https://user:url-s3cret@"))
    (handler,) = done.backend("http").handlers
    assert "@" not in handler.url
    assert handler.headers["Authorization"].file == "http-authorization"
    assert "url-s3cret" not in done.text + done.said


def test_two_handlers_that_look_the_same_get_names(init: Init) -> None:
    again = HTTP[HTTP.index("[[") :]
    assert [one.name for one in init(HTTP + again).backend("http").handlers] == [None, "handler-2"]


def test_rabbit_has_the_connection_of_its_pool_and_its_exchanges(init: Init) -> None:
    rabbit = init(RABBIT).backend("rabbit")
    assert (rabbit.host, rabbit.username, rabbit.virtual_host) == ("mq.example.org", "pusher", "chat")
    assert [(one.name, one.durable) for one in rabbit.exchanges()] == [("presence", False), ("chat", True)]


def test_sns_keeps_its_names(init: Init) -> None:
    sns = init(SNS).backend("sns")
    assert (sns.region, sns.account_id, sns.pm_messages_topic) == ("eu-west-1", "123456789012", "messages")
    assert sns.wpool.workers == 50


@pytest.mark.parametrize("text", [RABBIT, SNS])
def test_secrets_are_never_copied_and_their_files_are_told(text: str, init: Init) -> None:
    done = init(text)
    assert "s3cret" not in done.text + done.said
    assert 'file = "' in done.text
    assert "not copied: put" in done.said


def test_what_has_no_counterpart_is_told_at_the_end_and_on_standard_error(init: Init) -> None:
    done = init(PUSH + 'iqdisc.type = "parallel"\nvirtual_pubsub_hosts = ["pubsub.@HOST@"]\n')
    assert done.backend("push").virtual_pubsub_hosts == ()
    for told in ("push.iqdisc: no counterpart", "push.virtual_pubsub_hosts: virtual PubSub hosts need a gateway"):
        assert f"#   {told}" in done.text
        assert f"event-pusher: {told}" in done.said


def test_virtual_hosts_and_their_mongoosepush_become_a_gateway(init: Init) -> None:
    pool = '[outgoing_pools.http.mongoose_push]\nworkers = 50\nconnection.host = "https://push.example.org:8443"\n'
    module = '[modules.mod_push_service_mongoosepush]\npool_name = "mongoose_push"\napi_version = "v3"\n'
    done = init(PUSH + 'virtual_pubsub_hosts = ["pubsub.@HOST@"]\n' + module + "max_http_connections = 20\n" + pool)
    (gateway,) = done.settings.gateways
    assert done.backend("push").virtual_pubsub_hosts == ("pubsub.@HOST@",)
    assert (gateway.name, gateway.settings.workers) == ("mongoosepush", 20)
    assert gateway.settings.model_dump()["url"] == "https://push.example.org:8443"
    assert done.settings.backends[0].gateways == (gateway,)
    assert "mod_push_service_mongoosepush.pool: workers: what waits is in the outbox" in done.said


def test_a_plugin_that_is_not_installed_is_told_and_defaults_stands_there(init: Init) -> None:
    done = init(PUSH.replace("mod_event_pusher_push_plugin_defaults", "acme_push"))
    assert done.backend("push").plugin_module == "defaults"
    assert "acme_push is no plugin that is installed; port it" in done.said


def test_what_one_host_says_otherwise_is_for_this_host(init: Init) -> None:
    special = '[[host_config]]\nhost = "other.org"\n[host_config.modules.mod_event_pusher.push]\nbackend = "rdbms"\n'
    push = init(PUSH + special + "wpool.workers = 3\n").settings.backends[0]
    assert list(push.host_settings) == ["other.org"]


def test_it_prints_without_a_file(tmp_path: Path) -> None:
    source = tmp_path / "mongooseim.toml"
    source.write_text(PUSH)
    assert "[backends.push]\n" in run("init", "--from", source).stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [("[general]\n", "it has no mod_event_pusher"), ("a = = 1", "neither TOML nor Erlang"), ("{a, #{}}", "line 1")],
)
def test_a_file_of_something_else_is_refused(text: str, said: str, tmp_path: Path) -> None:
    source = tmp_path / "mongooseim"
    source.write_text(text)
    result = run("init", tmp_path / "new.toml", "--from", source)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not (tmp_path / "new.toml").exists()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "name MongooseIM's configuration" in run("init", "--from", tmp_path / "nothing").stderr
