%% A benchmark's aid: ejabberd's push engine, and ours beside it, without the cost of storing offline messages.
-module(mod_offline_null).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_doc/0, offline/1]).

start(Host, _) -> ejabberd_hooks:add(offline_message_hook, Host, ?MODULE, offline, 50), ok.
stop(Host) -> ejabberd_hooks:delete(offline_message_hook, Host, ?MODULE, offline, 50), ok.
reload(_, _, _) -> ok.
depends(_, _) -> [].
mod_options(_) -> [].
mod_doc() -> #{}.

offline({_Action, Packet}) -> {offlined, Packet}.
