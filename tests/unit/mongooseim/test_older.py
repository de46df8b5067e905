"""`event-pusher init --from` the Erlang terms of MongooseIM before 4.0."""

from __future__ import annotations

from event_pusher_push.settings import PushSettings
from tests.unit.mongooseim.conftest import Init

SNIPPET = """
{mod_event_pusher, [
    {backends, [
        {push, [
            {backend, mnesia},          % where registrations are
            {wpool, [{workers, 200}]},
            {plugin_module, mod_event_pusher_push_plugin_defaults}
        ]}
    ]}
]},
"""
WHOLE = """
%% mongooseim.cfg
{hosts, ["localhost", "example.org"]}.
{outgoing_pools, [
  {http, global, http_pool, [{strategy, available_worker}, {workers, 30}],
    [{server, "http://localhost:8000"}, {path_prefix, "/"}, {request_timeout, 1500}]},
  {rabbit, host, event_pusher, [{workers, 20}],
    [{amqp_host, "mq"}, {amqp_port, 5673}, {amqp_username, <<"pusher">>}, {amqp_password, <<"r4bbit-s3cret">>},
     {confirms_enabled, true}, {max_worker_queue_len, 100}]}
]}.
{modules, [
  {mod_adhoc, []},
  {mod_event_pusher, [
    {backends, [
      {http, [{pool_name, http_pool}, {path, "/one"}, {callback_module, mod_event_pusher_http_defaults}]},
      {http, [{configs, [[{path, "/two"}], [{path, "/three"}]]}]},
      {rabbit, [{presence_exchange, [{name, <<"presence">>}, {type, <<"topic">>}]},
                {chat_msg_exchange, [{name, <<"chat">>}, {sent_topic, <<"sent">>}, {recv_topic, <<"recv">>}]}]},
      {sns, [{pm_messages_topic, "user_message_sent-dev-1"}, {region, "eu-west-1"}, {account_id, "123456789012"},
             {access_key_id, "AKIA-s3cret"}, {secret_access_key, "sns-s3cret"}, {muc_host, "conference.@HOST@"},
             {sns_host, "sns.eu-west-1.amazonaws.com"}, {publish_retry_count, 2}, {publish_retry_time_ms, 50}]}
    ]}
  ]}
]}.
"""


def test_the_snippet_of_the_push_backend_is_understood(init: Init) -> None:
    push = init(SNIPPET).backend("push")
    assert isinstance(push, PushSettings)
    assert (push.backend, push.wpool.workers, push.plugin_module) == ("rdbms", 200, "defaults")


def test_mongoosepush_is_understood_in_its_older_form(init: Init) -> None:
    module = """{modules, [{mod_push_service_mongoosepush, [{pool_name, mongoose_push_http}, {api_version, "v3"}]}]}.
      {outgoing_pools, [{http, global, mongoose_push_http, [], [{server, "https://localhost:8443"}]}]}."""
    (gateway,) = init(WHOLE + module).settings.gateways
    assert gateway.settings.model_dump()["url"] == "https://localhost:8443"


def test_every_http_backend_and_each_of_its_configs_becomes_a_handler(init: Init) -> None:
    handlers = init(WHOLE).backend("http").handlers
    assert [one.url for one in handlers] == [f"http://localhost:8000/{path}" for path in ("one", "two", "three")]
    assert {(one.read_timeout, one.concurrency) for one in handlers} == {(1.5, 30)}


def test_rabbit_has_its_older_names_and_all_three_exchanges(init: Init) -> None:
    rabbit = init(WHOLE).backend("rabbit")
    assert (rabbit.host, rabbit.port, rabbit.username, rabbit.confirms_enabled) == ("mq", 5673, "pusher", True)
    assert [one.name for one in rabbit.exchanges()] == ["presence", "chat", "groupchat_msg"]


def test_sns_keeps_its_names(init: Init) -> None:
    done = init(WHOLE)
    assert done.backend("sns").pm_messages_topic == "user_message_sent-dev-1"
    assert "sns.muc_host: no counterpart" in done.said


def test_the_hosts_are_taken(init: Init) -> None:
    assert init(WHOLE).settings.sources[0].settings.hosts == ("localhost", "example.org")  # type: ignore[attr-defined]  # the component's


def test_no_secret_is_copied(init: Init) -> None:
    done = init(WHOLE)
    assert "s3cret" not in done.text + done.said
