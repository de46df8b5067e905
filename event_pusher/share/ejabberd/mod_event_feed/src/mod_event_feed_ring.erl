%%% The ring of one host: every event gets a number, is kept as bytes until the consumer has
%%% acknowledged it, and goes to the component as far as the consumer's credit reaches.
%%%
%%% Hooks run in the sessions' processes. They turn an event into bytes there and cast it, so that
%%% this process only numbers, stores and sends. Its mailbox is bounded by a shared count of the
%%% bytes that wait in it: what would exceed the ring anyway is not even cast, but told as lost.
-module(mod_event_feed_ring).

-export([start/2, stop/1, reload/2, host_removed/1, feed/1]).
-export([kinds/0, wants/2, bodies/1, first_copy/2, append/2, control/3,
         hold_answer/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3]).

-include("logger.hrl").
-include("xmpp.hrl").
-include("ejabberd_sm.hrl").

-define(NS_FEED, <<"urn:event-pusher:feed:0">>).
-define(VERSION, <<"0">>).
-define(TICK, 1000).
%% What an entry costs beside its bytes: the row and the reference.
-define(OVERHEAD, 120).
%% How long the copies of one message may take to reach all sessions of the account.
-define(COPIES_MS, 30000).
%% A small ring must not make a short burst refused: then the newest would go, not the oldest.
-define(MIN_QUEUE, 4194304).
%% How many answers to publishes are held while the component is away.
-define(MAX_ANSWERS, 10000).

%% Indexes of the counters which hooks and ring share.
-define(QUEUED, 1).     % bytes on their way to this process
-define(QUEUE_MAX, 2).
-define(REFUSED, 3).    % events which were not even sent, because QUEUED was too much
-define(KINDS, 4).      % bit mask
-define(ONLINE, 5).
-define(BODIES, 6).
-define(COUNTERS, 6).

-record(state, {host :: binary(),
                component :: binary(),
                feed :: binary(),
                epoch :: binary(),
                counters :: atomics:atomics_ref(),
                copies :: ets:tid(),
                ring :: ets:tid(),
                first = 1 :: pos_integer(),        % oldest entry in the ring
                next = 1 :: pos_integer(),         % what the next entry will be
                cursor = 1 :: pos_integer(),       % what is sent next
                acked = 0 :: non_neg_integer(),
                bytes = 0 :: non_neg_integer(),
                %% The newest snapshot is as big as the host has sessions; it does not count
                %% against the bound, or a big host could never be told whole.
                snapshot = {0, -1, 0} :: {integer(), integer(), non_neg_integer()},
                consumer = none :: none | binary(),
                %% The connection that the consumer resumed on. Entries go straight to it: while a
                %% dead connection of the component lingers, the router would give it half of them.
                connection = none :: none | {pid(), reference()},
                window = 0 :: non_neg_integer(),
                answers = [] :: list(),            % newest first
                alone_since :: integer(),          % when the last consumer left
                max_bytes :: pos_integer(),
                max_age :: pos_integer(),          % milliseconds
                opts :: map()}).

%%% For the hooks: anywhere, quick, never waiting for the ring

kinds() ->
    [sent, received, unacked, available, unavailable, 'session-start', 'session-end',
     'hibernation-start', 'hibernation-end', subscribe, 'user-removed', 'host-removed'].

%% The host's feed, or undefined when there is none.
feed(Host) ->
    persistent_term:get({?MODULE, Host}, undefined).

wants(undefined, _Kind) -> false;
wants(#{counters := C}, online) -> is_on(C, bit(received)) andalso atomics:get(C, ?ONLINE) == 1;
wants(#{counters := C}, Kind) -> is_on(C, bit(Kind)).

bodies(#{counters := C}) -> atomics:get(C, ?BODIES) == 1.

%% True for one of the sessions which each got a copy of the same message.
first_copy(#{copies := Copies}, Ref) ->
    ets:insert_new(Copies, {Ref, now_ms()}).

%% Entry: {ElementName, Attributes, FurtherElements} without feed, epoch and n.
append(#{proc := Proc, counters := C}, Entry) ->
    Bytes = term_to_binary(Entry),
    Size = byte_size(Bytes) + ?OVERHEAD,
    case atomics:add_get(C, ?QUEUED, Size) > atomics:get(C, ?QUEUE_MAX) of
        true ->
            atomics:sub(C, ?QUEUED, Size),
            atomics:add(C, ?REFUSED, 1);
        false ->
            gen_server:cast(Proc, {append, Size, Bytes})
    end.

%% An element of ours that the component itself has sent to the host over this connection.
control(Host, #xmlel{} = El, Connection) ->
    gen_server:cast(proc(Host), {control, El, Connection}).

%% The answer to a publish, while the component is away: it goes to the next consumer.
hold_answer(Host, IQ) -> gen_server:cast(proc(Host), {hold_answer, IQ}).

%%% Life

%% Not gen_mod:start_child/3: that would apply max_fsm_queue, which kills a process whose mailbox is
%% longer, and with it everything that waits in the ring.
start(Host, Opts) ->
    Args = [{local, proc(Host)}, ?MODULE, [Host, Opts], []],
    Spec = {proc(Host), {gen_server, start_link, Args}, transient, 5000, worker, [?MODULE]},
    supervisor:start_child(ejabberd_gen_mod_sup, Spec).

stop(Host) -> gen_mod:stop_child(?MODULE, Host).

reload(Host, Opts) -> gen_server:cast(proc(Host), {reload, Opts}).

%% The domain leaves the configuration. The ring ends with it, so it is told at once.
host_removed(Host) ->
    try gen_server:call(proc(Host), host_removed, 5000)
    catch exit:_ -> ok
    end.

proc(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

init([Host, Opts]) ->
    process_flag(trap_exit, true),
    process_flag(message_queue_data, off_heap),
    Counters = atomics:new(?COUNTERS, []),
    Copies = ets:new(copies, [public, {write_concurrency, true}]),
    persistent_term:put({?MODULE, Host},
                        #{proc => proc(Host), counters => Counters, copies => Copies}),
    erlang:send_after(?TICK, self(), tick),
    S = #state{host = Host, component = <<>>, feed = atom_to_binary(node(), utf8),
               epoch = p1_rand:get_alphanum_string(16), counters = Counters, copies = Copies,
               ring = ets:new(ring, [private]), alone_since = now_ms(),
               max_bytes = 1, max_age = 1, opts = #{}},
    {ok, configure(Opts, S)}.

configure(Opts, #state{counters = C} = S) ->
    MaxBytes = gen_mod:get_opt(ring_bytes, Opts),
    atomics:put(C, ?QUEUE_MAX, max(MaxBytes, ?MIN_QUEUE)),
    atomics:put(C, ?ONLINE, flag(gen_mod:get_opt(online, Opts))),
    Kinds = case gen_mod:get_opt(kinds, Opts) of all -> kinds(); L -> L end,
    S1 = S#state{component = gen_mod:get_opt(component, Opts), max_bytes = MaxBytes,
                 max_age = gen_mod:get_opt(ring_age, Opts),
                 opts = #{kinds => mask(Kinds), bodies => gen_mod:get_opt(bodies, Opts)}},
    narrow(mask(kinds()), true, S1).

%% A consumer may want less than the options allow, never more.
narrow(Kinds, Bodies, #state{counters = C, opts = #{kinds := Allowed, bodies := Allow}} = S) ->
    atomics:put(C, ?KINDS, Kinds band Allowed),
    atomics:put(C, ?BODIES, flag(Bodies andalso Allow)),
    S.

handle_call(host_removed, _From, S) ->
    Entry = {<<"event">>, [{<<"kind">>, <<"host-removed">>}], []},
    {reply, ok, pump((push(Entry, S))#state{window = S#state.next + 1})};
handle_call(_Request, _From, S) ->
    {reply, {error, unknown}, S}.

handle_cast({append, Size, Bytes}, #state{counters = C} = S) ->
    atomics:sub(C, ?QUEUED, Size),
    {noreply, pump(push(Size, Bytes, note_refused(S)))};
handle_cast({control, #xmlel{name = Name} = El, Connection}, S) ->
    {noreply, case Name of
                  <<"ack">> -> pump(ack(El, S));
                  <<"resume">> -> pump(resume(El, Connection, S));
                  _ -> S
              end};
handle_cast({hold_answer, IQ}, #state{answers = Answers} = S) ->
    {noreply, S#state{answers = lists:sublist([IQ | Answers], ?MAX_ANSWERS)}};
handle_cast({reload, Opts}, S) ->
    {noreply, trim(configure(Opts, S))};
handle_cast(_Msg, S) ->
    {noreply, S}.

handle_info(tick, #state{copies = Copies} = S) ->
    erlang:send_after(?TICK, self(), tick),
    Old = now_ms() - ?COPIES_MS,
    ets:select_delete(Copies, [{{'_', '$1'}, [{'<', '$1', Old}], [true]}]),
    {noreply, pump(expire(note_refused(S)))};
handle_info({'DOWN', Ref, process, Pid, _Why}, #state{connection = {Pid, Ref}} = S) ->
    {noreply, S#state{consumer = none, connection = none, alone_since = now_ms()}};
handle_info(_Info, S) ->
    {noreply, S}.

terminate(_Reason, #state{host = Host}) ->
    _ = persistent_term:erase({?MODULE, Host}),
    ok.

code_change(_OldVsn, S, _Extra) -> {ok, S}.

%%% The ring

push(Entry, S) ->
    Bytes = term_to_binary(Entry),
    push(byte_size(Bytes) + ?OVERHEAD, Bytes, S).

push(Size, Bytes, #state{ring = Ring, next = N} = S) ->
    ets:insert(Ring, {N, now_ms(), Size, Bytes}),
    trim(S#state{next = N + 1, bytes = S#state.bytes + Size}).

%% Events which hooks had to throw away take their numbers all the same, as a hole.
note_refused(#state{counters = C, ring = Ring, next = N} = S) ->
    case atomics:exchange(C, ?REFUSED, 0) of
        0 -> S;
        Count ->
            ets:insert(Ring, {N, hole, N + Count - 1}),
            S#state{next = N + Count}
    end.

trim(#state{bytes = Bytes, snapshot = {_, _, Exempt}, max_bytes = Max} = S)
  when Bytes - Exempt =< Max -> S;
trim(#state{first = N, next = N} = S) -> S;
trim(S) -> trim(drop_oldest(S)).

%% Age counts only while no consumer is there.
expire(#state{consumer = none, alone_since = Since, max_age = Age} = S) ->
    Deadline = now_ms() - Age,
    case Since < Deadline of
        true -> expire(Deadline, S);
        false -> S
    end;
expire(S) -> S.

expire(Deadline, #state{first = F, ring = Ring} = S) ->
    case ets:lookup(Ring, F) of
        [] -> S;
        [{_, Time, _, _}] when Time >= Deadline -> S;
        _ -> expire(Deadline, drop_oldest(S))
    end.

forget(Upto, #state{first = F} = S) when F =< Upto -> forget(Upto, drop_oldest(S));
forget(_Upto, S) -> S.

drop_oldest(#state{ring = Ring, first = F} = S) ->
    case ets:take(Ring, F) of
        [{_, hole, To}] -> S#state{first = To + 1};
        [{_, _, Size, _}] ->
            S#state{first = F + 1, bytes = S#state.bytes - Size,
                    snapshot = without(F, Size, S#state.snapshot)}
    end.

without(N, Size, {From, To, Bytes}) when N >= From, N =< To -> {From, To, Bytes - Size};
without(_N, _Size, Snapshot) -> Snapshot.

%%% Sending, as far as the credit reaches

pump(#state{consumer = none} = S) -> S;
pump(#state{cursor = N, next = N} = S) -> S;
pump(#state{cursor = N, acked = A, window = W} = S) when N - 1 - A >= W -> S;
pump(#state{cursor = N, first = F} = S) when N < F -> pump(tell_lost(F - 1, S));
pump(#state{cursor = N, ring = Ring} = S) ->
    case ets:lookup(Ring, N) of
        [{_, hole, To}] -> pump(tell_lost(To, S));
        [{_, _, _, Bytes}] ->
            {Name, Attrs, More} = binary_to_term(Bytes),
            send(S, [element(S, Name, [{<<"n">>, integer_to_binary(N)} | Attrs]) | More]),
            pump(S#state{cursor = N + 1})
    end.

%% What was lost is not on the wire, so it moves both ends of what counts against the credit.
tell_lost(To, #state{cursor = From, acked = A} = S) ->
    send(S, [element(S, <<"lost">>, [{<<"from">>, integer_to_binary(From)},
                                     {<<"to">>, integer_to_binary(To)}])]),
    S#state{cursor = To + 1, acked = A + To + 1 - From}.

element(#state{feed = Feed, epoch = Epoch}, Name, Attrs) ->
    #xmlel{name = Name, attrs = [{<<"xmlns">>, ?NS_FEED}, {<<"feed">>, Feed},
                                 {<<"epoch">>, Epoch} | Attrs]}.

send(#state{connection = {Pid, _}} = S, Els) -> send(Pid, S, Els).

send(Pid, #state{host = Host, component = Component}, Els) ->
    Pid ! {route, #message{from = jid:make(Host), to = jid:make(Component), sub_els = Els}},
    ok.

%%% What the component says

ack(El, #state{feed = Feed, epoch = Epoch, consumer = Consumer, cursor = Cursor} = S) ->
    Known = {attr(<<"feed">>, El), attr(<<"epoch">>, El), attr(<<"consumer">>, El)}
        == {Feed, Epoch, Consumer},
    case number(<<"n">>, El) of
        N when Known, is_integer(N), N < Cursor ->
            forget(N, S#state{acked = max(N, S#state.acked)});
        _ -> S
    end.

resume(El, Connection, S) ->
    case {attr(<<"version">>, El), attr(<<"consumer">>, El), number(<<"window">>, El)} of
        {?VERSION, Consumer, Window} when Consumer /= <<>>, is_integer(Window), Window > 0 ->
            serve(El, connect(Connection, S#state{consumer = Consumer, window = Window}));
        {?VERSION, _, _} ->
            ?WARNING_MSG("Ignoring a <resume/> without consumer or window from ~ts",
                         [S#state.component]),
            S;
        _ ->
            Attrs = [{<<"xmlns">>, ?NS_FEED}, {<<"version">>, ?VERSION},
                     {<<"error">>, <<"unsupported-version">>}],
            send(Connection, S, [#xmlel{name = <<"feed">>, attrs = Attrs}]),
            S
    end.

connect(Pid, #state{connection = {Pid, _}} = S) -> S;
connect(Pid, #state{connection = none} = S) ->
    S#state{connection = {Pid, erlang:monitor(process, Pid)}};
connect(Pid, #state{connection = {_, Ref}} = S) ->
    erlang:demonitor(Ref, [flush]),
    connect(Pid, S#state{connection = none}).

serve(El, #state{connection = {Pid, _}} = S) ->
    S1 = note_refused(position(El, S)),
    S2 = narrow(requested_kinds(El), attr(<<"bodies">>, El) /= <<"no">>, S1),
    Lost = max(0, S2#state.first - S2#state.cursor),
    send(S2, [element(S2, <<"feed">>,
                      [{<<"version">>, ?VERSION},
                       {<<"first">>, integer_to_binary(S2#state.first)},
                       {<<"next">>, integer_to_binary(S2#state.next)},
                       {<<"lost">>, integer_to_binary(Lost)},
                       {<<"server">>, <<"ejabberd ", (ejabberd_option:version())/binary>>}])]),
    [Pid ! {route, IQ} || IQ <- lists:reverse(S2#state.answers)],
    snapshot(S2#state{answers = []}).

%% Behind what the consumer has, when it has it from us; else from the oldest.
position(El, #state{feed = Feed, epoch = Epoch, first = F, next = Next} = S) ->
    Same = {attr(<<"feed">>, El), attr(<<"epoch">>, El)} == {Feed, Epoch},
    case number(<<"n">>, El) of
        N when Same, is_integer(N), N < Next -> forget(N, S#state{cursor = N + 1, acked = N});
        _ -> S#state{cursor = F, acked = F - 1}
    end.

requested_kinds(El) ->
    case binary:split(attr(<<"kinds">>, El), [<<" ">>, <<",">>], [global, trim_all]) of
        [] -> mask(kinds());
        Names -> mask([K || K <- kinds(), lists:member(atom_to_binary(K, utf8), Names)])
    end.

%%% Snapshot

snapshot(#state{host = Host, next = From} = S) ->
    Sessions = [Session || #session{usr = {_, H, _}} = Session
                               <- ejabberd_sm:dirty_get_my_sessions_list(), H == Host],
    Count = integer_to_binary(length(Sessions)),
    Entries = [{<<"snapshot-begin">>, [], []} | [session_entry(Session) || Session <- Sessions]]
        ++ [{<<"snapshot-end">>, [{<<"count">>, Count}], []}],
    Before = S#state.bytes,
    S1 = lists:foldl(fun insert/2, S, Entries),
    trim(S1#state{snapshot = {From, S1#state.next - 1, S1#state.bytes - Before}}).

insert(Entry, #state{ring = Ring, next = N} = S) ->
    Bytes = term_to_binary(Entry),
    Size = byte_size(Bytes) + ?OVERHEAD,
    ets:insert(Ring, {N, now_ms(), Size, Bytes}),
    S#state{next = N + 1, bytes = S#state.bytes + Size}.

session_entry(#session{sid = SID, usr = {U, H, R}, priority = Priority, info = Info}) ->
    {<<"event">>,
     [{<<"kind">>, <<"session-start">>}, {<<"user">>, jid:encode({U, H, <<>>})},
      {<<"resource">>, R}, {<<"session">>, mod_event_feed:session_id(SID)}]
     ++ [{<<"priority">>, integer_to_binary(Priority)} || is_integer(Priority)]
     ++ [{<<"state">>, <<"hibernated">>} || mod_event_feed:is_hibernated(Info)],
     []}.

%%% Small things

attr(Name, El) -> fxml:get_tag_attr_s(Name, El).

number(Name, El) ->
    try binary_to_integer(attr(Name, El)) of
        N when N >= 0 -> N;
        _ -> error
    catch error:badarg -> error
    end.

mask(Kinds) -> lists:foldl(fun(Kind, Mask) -> Mask bor bit(Kind) end, 0, Kinds).

bit(sent) -> 1;
bit(received) -> 2;
bit(unacked) -> 4;
bit(available) -> 8;
bit(unavailable) -> 16;
bit('session-start') -> 32;
bit('session-end') -> 64;
bit('hibernation-start') -> 128;
bit('hibernation-end') -> 256;
bit(subscribe) -> 512;
bit('user-removed') -> 1024;
bit('host-removed') -> 2048.

is_on(Counters, Bit) -> atomics:get(Counters, ?KINDS) band Bit /= 0.

flag(true) -> 1;
flag(false) -> 0.

now_ms() -> erlang:monotonic_time(millisecond).
