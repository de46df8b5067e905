%%% mod_event_feed: what happens on this host, for event-pusher (docs/feed-protocol.md).
%%%
%%% This module watches (hooks), relays <enable/> and <disable/> of XEP-0357 to the component, and
%%% publishes as the host. mod_event_feed_ring numbers, keeps and sends the events.
%%% It holds no policy: the consumer decides what becomes a push.
-module(mod_event_feed).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([sent/1, received/1, offline/1, bounced_groupchat/1, mark/1, terminated_early/2,
         terminated/2, session_pending/1, session_resumed/1, self_presence/1, session_start/3,
         session_end/3, subscription/2, user_removed/2, component_message/1]).
-export([config_reloaded/0]).
-export([decode_iq_subel/1, publish/1, push_iq/1, disco_sm_features/5]).
-export([session_id/1, is_hibernated/1]).

-include("logger.hrl").
-include("xmpp.hrl").         % not -include_lib: Debian names that application p1_xmpp
-include("mod_roster.hrl").

-define(RING, mod_event_feed_ring).
-define(NS_FEED, <<"urn:event-pusher:feed:0">>).
-define(NS_DELEGATION_2, <<"urn:xmpp:delegation:2">>).
-define(PUBLISH_TIMEOUT, 32).         % seconds, when the component names none
-define(PUBLISH_TIMEOUT_MAX, 600).
-define(HIBERNATED, event_feed_hibernated).

%%% gen_mod

start(Host, Opts) ->
    ejabberd_hooks:add(config_reloaded, ?MODULE, config_reloaded, 90),
    activate(Host, Opts).

%% Beside another module for urn:xmpp:push:0 either would lose registrations in silence, so this one
%% stays out of the way and says so. It is not an error result: that would halt a starting server.
activate(Host, Opts) ->
    case rival(Host) of
        none ->
            {ok, _} = ?RING:start(Host, Opts),
            [ejabberd_hooks:add(H, Host, ?MODULE, F, P) || {H, F, P} <- hooks()],
            gen_iq_handler:add_iq_handler(ejabberd_local, Host, ?NS_FEED, ?MODULE, publish),
            gen_iq_handler:add_iq_handler(ejabberd_sm, Host, ?NS_PUSH_0, ?MODULE, push_iq),
            note_cluster(Host),
            ok;
        Rival ->
            ?ERROR_MSG("mod_event_feed does not run on ~ts: ~ts already handles ~ts there. "
                       "Remove ~ts (or its namespace ~ts) from 'modules' and run "
                       "'ejabberdctl reload_config'", [Host, Rival, ?NS_PUSH_0, Rival, ?NS_PUSH_0]),
            ok
    end.

stop(Host) ->
    case is_active(Host) of
        true -> deactivate(Host);
        false -> ok
    end,
    case gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        true -> ok;
        false -> ejabberd_hooks:delete(config_reloaded, ?MODULE, config_reloaded, 90)
    end,
    ok.

deactivate(Host) ->
    gen_iq_handler:remove_iq_handler(ejabberd_local, Host, ?NS_FEED),
    case push_handler(Host) of
        ?MODULE -> gen_iq_handler:remove_iq_handler(ejabberd_sm, Host, ?NS_PUSH_0);
        _ -> ok
    end,
    [ejabberd_hooks:delete(H, Host, ?MODULE, F, P) || {H, F, P} <- hooks()],
    case lists:member(Host, ejabberd_option:hosts()) of
        true -> ok;
        false -> ?RING:host_removed(Host)
    end,
    ?RING:stop(Host).

reload(Host, NewOpts, _OldOpts) ->
    case is_active(Host) of
        true -> ?RING:reload(Host, NewOpts);
        false -> ok
    end.

%% Soft: when they are loaded they come first, so that rival/1 sees them.
depends(_Host, _Opts) -> [{mod_push, soft}, {mod_delegation, soft}, {mod_offline, soft}].

mod_opt_type(component) -> econf:domain();
mod_opt_type(kinds) ->
    econf:either(econf:enum([all]), econf:list(econf:enum(?RING:kinds()), [unique]));
mod_opt_type(online) -> econf:bool();
mod_opt_type(bodies) -> econf:bool();
mod_opt_type(ring_bytes) -> econf:pos_int();
mod_opt_type(ring_age) -> econf:timeout(second).

mod_options(_Host) ->
    [component,
     {kinds, all},
     {online, true},
     {bodies, true},
     {ring_bytes, 33554432},
     {ring_age, timer:hours(24)}].

mod_doc() ->
    #{desc => <<"Feeds events of the host to event-pusher, relays push registrations to it and "
                "publishes notifications as the host.">>}.

%% The priorities: after what may drop or change the stanza, before what ends it.
hooks() ->
    [{user_send_packet, sent, 95},                       % carbons 89, MAM 88
     {user_receive_packet, received, 95},                % the same; after the block list
     {offline_message_hook, offline, 60},                % MAM 49, mod_offline 50; bounce at 100
     {bounce_sm_packet, bounced_groupchat, 60},          % MIX 50; bounce at 100
     {sm_receive_packet, mark, 95},
     {c2s_session_pending, session_pending, 50},
     {c2s_session_resumed, session_resumed, 50},
     {c2s_terminated, terminated_early, 40},             % mod_stream_mgmt at 50 empties the queue
     {c2s_terminated, terminated, 95},                   % ejabberd_c2s closes the session at 100
     {c2s_self_presence, self_presence, 95},
     {sm_register_connection_hook, session_start, 50},
     {sm_remove_connection_hook, session_end, 50},
     {roster_in_subscription, subscription, 60},         % mod_roster at 50
     {remove_user, user_removed, 50},
     {local_send_to_resource_hook, component_message, 50}, % bounce at 100
     {disco_sm_features, disco_sm_features, 50}].

rival(Host) ->
    Loaded = [M || M <- [mod_push, mod_delegation], gen_mod:is_loaded(Host, M),
                   M == mod_push orelse delegates_push(Host)],
    case {Loaded, push_handler(Host)} of
        {[M | _], _} -> M;
        {[], M} when M /= ?MODULE -> M;
        _ -> none
    end.

delegates_push(Host) ->
    lists:keymember(?NS_PUSH_0, 1, gen_mod:get_module_opt(Host, mod_delegation, namespaces)).

%% ejabberd has no call for "who handles this namespace"; the table is public and named.
push_handler(Host) ->
    case ets:lookup(ejabberd_sm, {Host, ?NS_PUSH_0}) of
        [{_, Module, _Function}] -> Module;
        [] -> none
    end.

is_active(Host) -> ?RING:feed(Host) /= undefined.

note_cluster(Host) ->
    case ejabberd_cluster:get_nodes() of
        [_] ->
            ?INFO_MSG("mod_event_feed runs on ~ts; one node is supported", [Host]);
        Nodes ->
            ?WARNING_MSG("mod_event_feed on ~ts supports one node, this is a cluster of ~B: only "
                         "what happens on ~ts is fed", [Host, length(Nodes), node()])
    end.

%% After 'ejabberdctl reload_config': a rival may have come or gone.
config_reloaded() ->
    lists:foreach(fun config_reloaded/1,
                  [H || H <- ejabberd_option:hosts(), gen_mod:is_loaded(H, ?MODULE)]).

config_reloaded(Host) ->
    case {is_active(Host), push_handler(Host)} of
        {false, _} -> activate(Host, gen_mod:get_module_opts(Host, ?MODULE));
        {true, ?MODULE} -> ok;
        {true, none} ->        % a rival went and took the registration along
            gen_iq_handler:add_iq_handler(ejabberd_sm, Host, ?NS_PUSH_0, ?MODULE, push_iq);
        {true, Rival} ->
            ?ERROR_MSG("~ts has taken ~ts on ~ts from mod_event_feed: registrations are lost. "
                       "Remove it from 'modules' and run 'ejabberdctl reload_config'",
                       [Rival, ?NS_PUSH_0, Host])
    end.

%%% Messages

%% A local client's message, as the server's filters left it. The sender's own block list is looked
%% at only afterwards by ejabberd, so it is asked here: what it stops was not accepted.
sent({#message{type = T} = Msg, #{jid := JID} = C2S} = Acc) when T /= error ->
    Feed = ?RING:feed(JID#jid.lserver),
    case ?RING:wants(Feed, sent) andalso is_message(Msg)
        andalso privacy_allows(JID#jid.lserver, C2S, Msg, out) of
        true -> report(Feed, sent, JID, session(C2S), Msg);
        false -> ok
    end,
    Acc;
sent(Acc) -> Acc.

%% Runs in the session which takes the message, after the block list. mod_stream_mgmt's queue and
%% the offline store are replayed by other ways, or marked; a session which is about to hand its
%% messages on ('resumed', 'timeout') has not taken them.
received({#message{type = T} = Msg, #{jid := JID} = C2S} = Acc) when T /= error ->
    Feed = ?RING:feed(JID#jid.lserver),
    case maps:get(mgmt_state, C2S, inactive) of
        pending -> hibernated(Feed, Msg, C2S), Acc;
        S when S /= resumed, S /= timeout -> online(Feed, Msg, C2S), Acc;
        _ -> Acc
    end;
received(Acc) -> Acc.

online(Feed, Msg, #{jid := JID} = C2S) ->
    case ?RING:wants(Feed, online) andalso is_message(Msg)
        andalso (siblings(Msg, C2S) == []
                 orelse ?RING:first_copy(Feed, xmpp:get_meta(Msg, event_feed_ref, make_ref()))) of
        true -> report(Feed, received, JID, [{<<"state">>, <<"online">>}], Msg);
        false -> ok
    end.

%% When this session dies, mod_stream_mgmt routes the message anew (resend_on_timeout), and it is told
%% again, as what it is then: offline, or online in another session.
hibernated(Feed, Msg, #{jid := JID} = C2S) ->
    case ?RING:wants(Feed, received) andalso is_message(Msg)
        andalso not lists:any(fun is_live/1, siblings(Msg, C2S)) of
        true -> report(Feed, received, JID, [{<<"state">>, <<"hibernated">>} | session(C2S)], Msg);
        false -> ok
    end.

%% The account's other sessions which got a copy of this message too: those of the same priority,
%% for a headline all that are not negative. A message to a full JID has none.
siblings(#message{to = #jid{lresource = R}, meta = Meta}, #{jid := #jid{lresource = R}})
  when not is_map_key(sm_copy, Meta) -> [];
siblings(#message{type = T}, #{jid := JID, pres_last := #presence{priority = P}}) ->
    Mine = case P of undefined -> 0; _ -> P end,
    [Info || {_, Info} <- ejabberd_sm:get_user_info(JID#jid.luser, JID#jid.lserver),
             proplists:get_value(pid, Info) /= self(),
             Other <- [proplists:get_value(priority, Info)], is_integer(Other),
             Other == Mine orelse (T == headline andalso Other >= 0)];
siblings(_Msg, _C2S) -> [].

is_live(Info) -> not is_hibernated(Info).

is_hibernated(Info) -> proplists:get_value(?HIBERNATED, Info, false).

%% One message may become several copies; this lets them be recognised.
mark(#message{type = T} = Msg) when T /= error, T /= groupchat ->
    xmpp:put_meta(Msg, event_feed_ref, make_ref());
mark(Stanza) -> Stanza.

%% No session took it. 'stop'ped before us means that the sender got an error (store full).
offline({Action, #message{to = To, type = T} = Msg} = Acc) when T /= error ->
    Stored = Action == offlined orelse Action == archived,
    offline(?RING:feed(To#jid.lserver), Msg, Stored),
    Acc;
offline(Acc) -> Acc.

offline(Feed, #message{to = To} = Msg, Stored) ->
    case ?RING:wants(Feed, received) andalso is_message(Msg) of
        true ->
            report(Feed, received, To, [{<<"state">>, <<"offline">>},
                                        {<<"stored">>, atom_to_binary(Stored, utf8)}], Msg);
        false -> ok
    end.

%% A groupchat message to the account itself (a room which sends to bare JIDs) is bounced by
%% ejabberd and never reaches offline_message_hook. MIX ('pass') has handed it to the sessions.
bounced_groupchat({Action, #message{type = groupchat, to = #jid{lresource = <<>>} = To} = Msg}
                  = Acc) ->
    #jid{luser = User, lserver = Host} = To,
    case (Action == bounce orelse ejabberd_sm:get_user_resources(User, Host) == [])
        andalso ejabberd_auth:user_exists(User, Host)
        andalso privacy_allows(Host, To, Msg, in) of
        true -> offline(?RING:feed(Host), Msg, false);
        false -> ok
    end,
    Acc;
bounced_groupchat(Acc) -> Acc.

privacy_allows(Host, Who, Msg, Direction) ->
    allow == ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [Who, Msg, Direction]).

%% Not a message of its own: a carbon copy, an answer from the archive, a replay of the offline
%% store (reported when it went there).
is_message(#message{meta = #{carbon_copy := true}}) -> false;
is_message(#message{meta = #{from_offline := true}}) -> false;
is_message(#message{sub_els = [#mam_result{} | _]}) -> false;
is_message(#message{}) -> true.

%%% Sessions

session_start(SID, #jid{luser = U, lserver = S, lresource = R} = JID, _Info) ->
    Priority = case ejabberd_sm:get_user_info(U, S, R) of
                   offline -> undefined;
                   Info -> proplists:get_value(priority, Info)
               end,
    report(?RING:feed(S), 'session-start', JID, session(JID, SID) ++ priority(Priority)).

session_end(SID, #jid{lserver = S} = JID, _Info) ->
    report(?RING:feed(S), 'session-end', JID, session(JID, SID)).

%% mod_stream_mgmt: the connection is lost, the session waits. The mark goes to the session table,
%% where snapshots and the other sessions see it, and dies with the session.
session_pending(#{jid := #jid{luser = U, lserver = S, lresource = R} = JID} = C2S) ->
    ejabberd_sm:set_user_info(U, S, R, ?HIBERNATED, true),
    report(?RING:feed(S), 'hibernation-start', JID, session(C2S)),
    unacked(C2S).

%% Runs in the new session; the old one ends afterwards.
session_resumed(#{jid := #jid{lserver = S} = JID} = C2S) ->
    report(?RING:feed(S), 'hibernation-end', JID, session(C2S)),
    C2S.

%% XEP-0198 without resumption: no pending state, the session ends at once.
terminated_early(#{mgmt_state := active, stop_reason := Reason} = C2S, _)
  when element(1, Reason) /= stream ->
    unacked(C2S);
terminated_early(C2S, _Reason) -> C2S.

terminated(#{jid := #jid{lserver = S} = JID, sid := _, pres_last := _} = C2S, _Reason) ->
    report(?RING:feed(S), unavailable, JID, session(C2S)),
    C2S;
terminated(C2S, _Reason) -> C2S.

unacked(#{jid := #jid{lserver = S}, mgmt_queue := Queue} = C2S) ->
    Feed = ?RING:feed(S),
    case ?RING:wants(Feed, unacked) of
        true -> [unacked(Feed, C2S, Msg) || {_, _, #message{} = Msg} <- p1_queue:to_list(Queue)];
        false -> ok
    end,
    C2S;
unacked(C2S) -> C2S.

unacked(Feed, #{jid := JID} = C2S, #message{type = T} = Msg) when T /= error ->
    is_unacked(Msg) andalso report(Feed, unacked, JID, session(C2S), Msg);
unacked(_Feed, _C2S, _Msg) -> false.

%% An offline replay which the client did not acknowledge is unacknowledged like any other.
is_unacked(#message{meta = Meta} = Msg) ->
    is_message(Msg#message{meta = maps:remove(from_offline, Meta)}).

self_presence({#presence{type = available, priority = P},
               #{jid := #jid{lserver = S} = JID} = C2S} = Acc) ->
    Priority = case P of undefined -> 0; _ -> P end,
    report(?RING:feed(S), available, JID, session(C2S) ++ priority(Priority)),
    Acc;
self_presence({#presence{type = unavailable},
               #{jid := #jid{lserver = S} = JID, pres_last := _} = C2S} = Acc) ->
    report(?RING:feed(S), unavailable, JID, session(C2S)),
    Acc;
self_presence(Acc) -> Acc.

session(#{jid := JID} = C2S) ->
    case C2S of
        #{sid := SID} -> session(JID, SID);
        _ -> [{<<"resource">>, JID#jid.lresource}]   % a command sends in a user's name
    end.

session(#jid{lresource = R}, SID) ->
    [{<<"resource">>, R}, {<<"session">>, session_id(SID)}].

%% Unique over restarts too: ejabberd's time stamps never repeat within a node.
session_id({{Mega, Sec, Micro}, Pid}) ->
    Time = integer_to_binary((Mega * 1000000 + Sec) * 1000000 + Micro),
    <<Time/binary, $-, (list_to_binary(string:trim(pid_to_list(Pid), both, "<>")))/binary>>.

priority(P) when is_integer(P) -> [{<<"priority">>, integer_to_binary(P)}];
priority(_) -> [].

%%% The rest of the account's life

%% 'true' from mod_roster: the request is new, and waits.
subscription(true, #presence{type = subscribe, to = #jid{luser = U, lserver = S} = To}) ->
    Feed = ?RING:feed(S),
    case ?RING:wants(Feed, subscribe) of
        true ->
            Pending = length([R || #roster{ask = Ask} = R <- mod_roster:get_roster(U, S),
                                   Ask == in orelse Ask == both]),
            report(Feed, subscribe, To, [{<<"pending">>, integer_to_binary(Pending)}]);
        false -> ok
    end,
    true;
subscription(Acc, _Presence) -> Acc.

user_removed(User, Host) ->
    report(?RING:feed(Host), 'user-removed', jid:make(User, Host), []).

%%% Building events, in the process where they happen

report(Feed, Kind, JID, Attrs) ->
    case ?RING:wants(Feed, Kind) of
        true -> ?RING:append(Feed, {<<"event">>, attributes(Kind, JID, Attrs), []});
        false -> ok
    end.

%% With a stanza; the caller has asked wants/2 before it did the work.
report(Feed, Kind, JID, Attrs, Msg) ->
    Stanza = xmpp:encode(Msg, <<>>),
    Stanza1 = case ?RING:bodies(Feed) of
                  true -> Stanza;
                  false -> without_bodies(Stanza)
              end,
    Stamp = xmpp_util:encode_timestamp(erlang:timestamp()),
    Delay = #xmlel{name = <<"delay">>, attrs = [{<<"xmlns">>, ?NS_DELAY}, {<<"stamp">>, Stamp}]},
    Forwarded = #xmlel{name = <<"forwarded">>, attrs = [{<<"xmlns">>, ?NS_FORWARD}],
                       children = [Delay, Stanza1]},
    ?RING:append(Feed, {<<"event">>, attributes(Kind, JID, Attrs), [Forwarded]}).

attributes(Kind, #jid{luser = U, lserver = S}, Attrs) ->
    [{<<"kind">>, atom_to_binary(Kind, utf8)}, {<<"user">>, jid:encode({U, S, <<>>})} | Attrs].

%% Everywhere: XHTML-IM and forwarded messages have bodies inside.
without_bodies(#xmlel{name = <<"body">>, children = [_ | _]} = El) ->
    El#xmlel{children = [{xmlcdata, <<"…"/utf8>>}]};
without_bodies(#xmlel{children = Children} = El) ->
    El#xmlel{children = [without_bodies(C) || C <- Children]};
without_bodies(Text) -> Text.

%%% The component

component(Host) -> gen_mod:get_module_opt(Host, ?MODULE, component).

%% Exactly the component: no user of it, no resource.
is_component(#jid{luser = <<>>, lserver = S, lresource = <<>>}, Host) -> S == component(Host);
is_component(_From, _Host) -> false.

%% <resume/> and <ack/>. Whoever else sends our elements is ignored, without an answer.
%% ejabberd routes to its own host within the sender's process, so self() is the connection.
component_message(#message{from = From, sub_els = Els,
                           to = #jid{luser = <<>>, lserver = Host, lresource = <<>>}}) ->
    case [El || #xmlel{} = El <- Els, fxml:get_tag_attr_s(<<"xmlns">>, El) == ?NS_FEED] of
        [] -> ok;
        [El | _] ->
            case is_component(From, Host) of
                true -> ?RING:control(Host, El, self());
                false -> ok
            end,
            stop
    end;
component_message(_Stanza) -> ok.

%% The codec does not know our namespace: hand the elements over as they came.
decode_iq_subel(El) -> El.

%%% Publish as host. The handler runs in the process of the component's connection.

publish(#iq{from = From, to = #jid{lserver = Host}} = IQ) ->
    case is_component(From, Host) of
        false -> xmpp:make_error(IQ, xmpp:err_forbidden());
        true ->
            case parse_publish(IQ) of
                {ok, Inner, Timeout} -> publish(IQ, Inner, Timeout);
                error -> xmpp:make_error(IQ, xmpp:err_bad_request())
            end
    end.

publish(#iq{id = Id, from = From, to = To}, #iq{id = InnerId, to = Dest} = Inner, Timeout) ->
    %% Small on purpose: the closure waits in a table until the answer comes.
    Context = {Id, From, To, InnerId, Dest},
    ejabberd_router:route_iq(Inner#iq{from = To}, fun(Answer) -> answer(Answer, Context) end,
                             undefined, Timeout * 1000),
    ignore.

parse_publish(#iq{type = set, sub_els = [#xmlel{name = <<"publish">>} = El]}) ->
    case {elements(El), publish_timeout(fxml:get_tag_attr_s(<<"timeout">>, El))} of
        {[#xmlel{name = <<"iq">>} = IQ], Timeout} when is_integer(Timeout) ->
            parse_inner(IQ, Timeout);
        _ -> error
    end;
parse_publish(_IQ) -> error.

parse_inner(El, Timeout) ->
    try xmpp:decode(El, <<>>, [ignore_els]) of
        #iq{type = set, id = Id, to = #jid{}, from = undefined, sub_els = [Pub]} = IQ
          when Id /= <<>> ->
            case is_publish(Pub) andalso fxml:get_tag_attr_s(<<"xmlns">>, El) == ?NS_CLIENT of
                true -> {ok, IQ, Timeout};
                false -> error
            end;
        _ -> error
    catch error:{xmpp_codec, _} -> error
    end.

is_publish(#xmlel{name = <<"pubsub">>} = El) ->
    fxml:get_tag_attr_s(<<"xmlns">>, El) == ?NS_PUBSUB
        andalso lists:member([N || #xmlel{name = N} <- elements(El)],
                             [[<<"publish">>], [<<"publish">>, <<"publish-options">>]]);
is_publish(_El) -> false.

publish_timeout(<<>>) -> ?PUBLISH_TIMEOUT;
publish_timeout(Text) ->
    try binary_to_integer(Text) of
        T when T >= 1, T =< ?PUBLISH_TIMEOUT_MAX -> T;
        _ -> error
    catch error:badarg -> error
    end.

%% Runs in ejabberd_iq, which is one process for the whole node. ejabberd matches answers by id
%% alone; an answer from elsewhere is none, and no other can come, so it ends like a timeout.
answer(#iq{from = From} = Answer, {Id, Component, Host, InnerId, Dest}) ->
    case jid:tolower(From) == jid:tolower(Dest) of
        true -> hand_back(Answer#iq{id = InnerId, to = Host}, Id, Component, Host);
        false -> answer(timeout, {Id, Component, Host, InnerId, Dest})
    end;
answer(timeout, {Id, Component, Host, InnerId, Dest}) ->
    Error = (xmpp:err_remote_server_timeout(<<"No answer">>, <<"en">>))#stanza_error{by = Host},
    hand_back(#iq{type = error, id = InnerId, from = Dest, to = Host, sub_els = [Error]},
              Id, Component, Host).

hand_back(Inner, Id, Component, Host) ->
    El = #xmlel{name = <<"publish">>, attrs = [{<<"xmlns">>, ?NS_FEED}],
                children = [xmpp:encode(Inner, <<>>)]},
    Outer = #iq{type = result, id = Id, from = Host, to = Component, sub_els = [El]},
    case ejabberd_router:is_my_route(Component#jid.lserver) of
        true -> ejabberd_router:route(Outer);
        false -> ?RING:hold_answer(Host#jid.lserver, Outer)
    end.

%%% Enable and disable, in the envelope of XEP-0355

%% Whatever the namespace has: what is wrong with a request is for the component to say.
push_iq(#iq{from = #jid{luser = U, lserver = S},
            to = #jid{luser = U, lserver = S, lresource = <<>>}} = IQ) ->
    case ejabberd_router:is_my_route(component(S)) of
        true -> delegate(IQ), ignore;
        false -> xmpp:make_error(IQ, xmpp:err_service_unavailable())
    end;
push_iq(IQ) ->
    xmpp:make_error(IQ, xmpp:err_forbidden()).

%% Built by hand: the codec's #delegation{} is urn:xmpp:delegation:1 in ejabberd 23.01.
delegate(#iq{to = #jid{lserver = Host}} = IQ) ->
    Forwarded = #xmlel{name = <<"forwarded">>, attrs = [{<<"xmlns">>, ?NS_FORWARD}],
                       children = [xmpp:encode(IQ, <<>>)]},
    Envelope = #xmlel{name = <<"delegation">>, attrs = [{<<"xmlns">>, ?NS_DELEGATION_2}],
                      children = [Forwarded]},
    Request = IQ#iq{sub_els = []},
    ejabberd_router:route_iq(#iq{type = set, from = jid:make(Host), to = jid:make(component(Host)),
                                 sub_els = [Envelope]},
                             fun(Answer) -> ejabberd_router:route(delegated(Answer, Request)) end).

delegated(#iq{type = result, sub_els = [#xmlel{name = <<"delegation">>} = El]}, Request) ->
    case fxml:get_path_s(El, [{elem, <<"forwarded">>}, {elem, <<"iq">>}]) of
        #xmlel{} = Inner -> mirrored(Inner, Request);
        _ -> xmpp:make_error(Request, xmpp:err_internal_server_error())
    end;
delegated(timeout, Request) -> xmpp:make_error(Request, xmpp:err_remote_server_timeout());
delegated(_Answer, Request) -> xmpp:make_error(Request, xmpp:err_service_unavailable()).

%% The component answers this client's request and no other's.
mirrored(El, #iq{from = From, to = To, id = Id} = Request) ->
    try xmpp:decode(El, ?NS_CLIENT, [ignore_els]) of
        #iq{type = T, from = To, to = From, id = Id} = Reply when T == result; T == error -> Reply;
        _ -> xmpp:make_error(Request, xmpp:err_internal_server_error())
    catch error:{xmpp_codec, _} -> xmpp:make_error(Request, xmpp:err_internal_server_error())
    end.

%% Only on the own account, and only while somebody is there to answer.
disco_sm_features({error, _} = Acc, _From, _To, _Node, _Lang) -> Acc;
disco_sm_features(Acc, #jid{luser = U, lserver = S}, #jid{luser = U, lserver = S}, <<>>, _Lang) ->
    case ejabberd_router:is_my_route(component(S)) of
        true -> {result, [?NS_PUSH_0 | case Acc of {result, L} -> L; empty -> [] end]};
        false -> Acc
    end;
disco_sm_features(Acc, _From, _To, _Node, _Lang) -> Acc.

elements(#xmlel{children = Children}) -> [El || #xmlel{} = El <- Children].
