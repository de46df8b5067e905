-- mod_event_feed: tells event-pusher, a component, what happens on this host, relays XEP-0357 enable and disable to it,
-- and publishes for it from the host's own address. The wire: docs/feed-protocol.md of event-pusher.
-- For stock Prosody 0.11 and later; on the VirtualHost only, nothing on the Component.
--
--   event_feed_component = "push.example.org"   whom to serve, the only one believed
--   event_feed_kinds     = { "received", ... }  what to tell; default: everything
--   event_feed_online    = true                 tell `received` for online accounts too
--   event_feed_bodies    = true                 false: no message text leaves the server
--   event_feed_ring_bytes, event_feed_ring_age  bound of what waits for the component: 32 MB, 86400 s

local st = require "util.stanza";
local jid = require "util.jid";
local id = require "util.id";
local set = require "util.set";
local now = require "util.time".now;
local rostermanager = require "core.rostermanager";
local user_exists = require "core.usermanager".user_exists;
local get_modules_for_host = require "core.modulemanager".get_modules_for_host;

local xml_escape = st.xml_escape;
local floor, format, date = math.floor, string.format, os.date;
local host, hosts = module.host, prosody.hosts;
local full_sessions, bare_sessions = prosody.full_sessions, prosody.bare_sessions;

local NS, NS_PUSH, NS_DELEGATION = "urn:event-pusher:feed:0", "urn:xmpp:push:0", "urn:xmpp:delegation:2";
local NS_FORWARD, NS_PUBSUB = "urn:xmpp:forward:0", "http://jabber.org/protocol/pubsub";
local NS_STANZAS, NS_MAM = "urn:ietf:params:xml:ns:xmpp-stanzas", "urn:xmpp:mam:2";
local VERSION, TIMEOUT, MAX_TIMEOUT, WINDOW, MAX_HELD = "0", 32, 600, "2000", 10000;
local KINDS = {
	"sent", "received", "unacked", "available", "unavailable", "session-start", "session-end", "hibernation-start",
	"hibernation-end", "subscribe", "user-removed",
};

-- Options -----------------------------------------------------------------------------------------------------------

local component = jid.prep(module:get_option_string("event_feed_component", ""));
local online = module:get_option_boolean("event_feed_online", true);
local keep_bodies = module:get_option_boolean("event_feed_bodies", true);
local flat_priority = module:get_option_boolean("ignore_presence_priority", false);
local allowed = module:get_option_set("event_feed_kinds", KINDS);

local function refuse(cause)
	error("mod_event_feed does not start: " .. cause, 0);  -- the module manager logs it
end
if module:get_host_type() ~= "local" then
	refuse("enable event_feed under the VirtualHost, not under a Component.");
elseif not component then
	refuse('event_feed_component is missing. Write event_feed_component = "push.example.org" under VirtualHost "' .. host .. '".');
end
local function in_use(name)
	return hosts[host].modules[name] or get_modules_for_host and get_modules_for_host(host):contains(name);
end
if in_use("cloud_notify") then
	refuse('mod_cloud_notify would take the same <enable/>. Remove "cloud_notify" from modules_enabled, or write '
		.. 'modules_disabled = { "cloud_notify" } under VirtualHost "' .. host .. '".');
elseif in_use("delegation") and (module:get_option("delegations") or {})[NS_PUSH] then
	refuse('urn:xmpp:push:0 is delegated as well. Remove ["urn:xmpp:push:0"] from delegations of VirtualHost "' .. host .. '".');
end
for kind in allowed - set.new(KINDS) do module:log("warn", "event_feed_kinds: there is no kind %q", kind); end

-- Hooks: an exception in one would leave a client without an answer, so none gets out ------------------------------

local function safely(f, ...)
	local ok, ret = pcall(f, ...);
	if ok then return ret; end
	module:log("error", "A hook failed, please report: %s", ret);
end

local function hook(name, f, priority)
	module:hook(name, function (event) return safely(f, event); end, priority);
end

-- The feed ----------------------------------------------------------------------------------------------------------

local saved = module.saved_state;  -- a reload goes on with what it finds; any other start is another epoch
if not saved or saved.component ~= component then saved = { component = component, epoch = id.medium(), held = {} }; end
local epoch = saved.epoch;
local bodies, wanted = keep_bodies, allowed;  -- what the options allow, narrowed by the newest resume
local names = " feed='" .. xml_escape(host) .. "' epoch='" .. epoch .. "'";
local addresses = "from='" .. xml_escape(host) .. "' to='" .. xml_escape(component) .. "'";
local envelope = "<message " .. addresses .. ">%s</message>";
local event_head = "<message " .. addresses .. "><event xmlns='" .. NS .. "'" .. names .. " n='";
local ring;

local second, second_text;
local function stamp()
	local t = now();
	local s = floor(t);
	if s ~= second then second, second_text = s, date("!%Y-%m-%dT%H:%M:%S", s); end
	return format("%s.%06dZ", second_text, floor((t - s) * 1000000));
end

local load_id, sessions_seen = id.short(), 0;
local function session_id(session)
	if not session.event_feed_id then
		sessions_seen = sessions_seen + 1;
		session.event_feed_id = load_id .. "-" .. sessions_seen;
	end
	return session.event_feed_id;
end

local function redact(element)
	for _, child in ipairs(element.tags) do
		if child.name ~= "body" then
			redact(child);
		elseif #child > 0 then
			for i = #child, 1, -1 do child[i] = nil; end
			child.tags, child[1] = {}, "…";
		end
	end
	return element;
end

-- A stanza inside a stanza has xmlns='jabber:client'; to: its address when it has none (a message to oneself)
local function inner(stanza, to)
	local name, attr, add = stanza.name, stanza.attr, "";
	if not attr.xmlns then add = " xmlns='jabber:client'"; end
	if not attr.to then add = add .. " to='" .. xml_escape(to) .. "'"; end
	return "<" .. name .. add .. tostring(stanza):sub(#name + 2);
end

-- session, extra (more attributes), stanza: each may be nil
local function add_event(kind, username, session, extra, stanza)
	local user = username .. "@" .. host;
	local tail = "' kind='" .. kind .. "' user='" .. xml_escape(user) .. "'";
	if session then
		tail = tail .. " resource='" .. xml_escape(session.resource) .. "' session='" .. session_id(session) .. "'";
	end
	tail = tail .. (extra or "") .. "/>";
	if stanza then
		tail = tail .. "<forwarded xmlns='" .. NS_FORWARD .. "'><delay xmlns='urn:xmpp:delay' stamp='" .. stamp() .. "'/>"
			.. inner(bodies and stanza or redact(st.clone(stanza)), user) .. "</forwarded>";
	end
	ring:add(event_head, tail .. "</message>");
end

local function tell(kind, ...)
	if wanted:contains(kind) then add_event(kind, ...); end
end

local function priority_of(session)
	return session.priority and " priority='" .. session.priority .. "'" or "";
end

local function snapshot()
	local count = 0;
	ring:add("<message " .. addresses .. "><snapshot-begin xmlns='" .. NS .. "'" .. names .. " n='", "'/></message>");
	for username, account in pairs(hosts[host].sessions) do
		for _, session in pairs(account.sessions) do
			count = count + 1;
			add_event("session-start", username, session, (session.hibernating and " state='hibernated'" or "")
				.. (session.presence and priority_of(session) or ""));
		end
	end
	ring:add("<message " .. addresses .. "><snapshot-end xmlns='" .. NS .. "' count='" .. count .. "'" .. names .. " n='",
		"'/></message>");
end

ring = module:require "event_feed_ring".new({
	bytes = module:get_option_number("event_feed_ring_bytes", 32 * 1024 * 1024);
	age = module:get_option_number("event_feed_ring_age", 86400);
	now = now;
	snapshot = snapshot;
	lost = function (from, to)
		module:log("warn", "The ring was full or too old: events %d to %d are lost", from, to);
		return envelope:format("<lost xmlns='" .. NS .. "'" .. names .. " from='" .. from .. "' to='" .. to .. "'/>");
	end;
}, saved.ring);
saved.ring = ring;

-- What the component asks for ---------------------------------------------------------------------------------------

local link;  -- the component's newest connection

local function connected()
	if not link or link.destroyed then
		local h = hosts[component];
		local m = h and h.modules.component;
		link = m and m.connected and m.session or nil;
	end
	return link;
end

local function flush()
	if saved.held[1] and connected() then
		local answers = saved.held;
		saved.held = {};
		for _, answer in ipairs(answers) do link.send(answer); end
	end
end

local function say(text)
	if connected() then
		link.send(text);
	else
		local held = saved.held;  -- for its next connection
		if #held >= MAX_HELD then table.remove(held, 1); end
		held[#held+1] = text;
	end
end

local function trusted(event)
	local origin = event.origin;
	if event.stanza.attr.from ~= component or origin.type ~= "component" or origin.host ~= component then return false; end
	link = origin;
	flush();
	return true;
end

local function whole(text)
	return text and text:match("^%d+$") and tonumber(text);
end

local function narrow(a)
	saved.asked = { kinds = a.kinds, bodies = a.bodies };
	bodies, wanted = keep_bodies and a.bodies ~= "no", allowed;
	if a.kinds and a.kinds:find("%S") then
		wanted = set.new();
		for kind in a.kinds:gmatch("%S+") do if allowed:contains(kind) then wanted:add(kind); end end
	end
end
if saved.asked then narrow(saved.asked); end

local function resume(origin, a)
	local consumer, window = a.consumer, whole(a.window or WINDOW);
	if a.version ~= VERSION then
		origin.send(envelope:format("<feed xmlns='" .. NS .. "' version='" .. VERSION .. "' error='unsupported-version'/>"));
		return;
	elseif not consumer or consumer == "" or not window or window < 1 then
		module:log("warn", "Ignoring a <resume/> without a consumer or with a bad window");
		return;
	end
	narrow(a);
	local known = a.feed == host and a.epoch == epoch;
	local first, next_n, lost = ring:resume(origin, consumer, window, known and whole(a.n) or nil);
	origin.send(envelope:format("<feed xmlns='" .. NS .. "' version='" .. VERSION .. "'" .. names .. " first='" .. first
		.. "' next='" .. next_n .. "' lost='" .. lost .. "' server='" .. xml_escape("Prosody " .. prosody.version) .. "'/>"));
	ring:pump();
end

local function ack(a)
	local n = whole(a.n);
	if a.feed ~= host or a.epoch ~= epoch or not n or not ring:ack(a.consumer, n) then
		module:log("debug", "Ignoring an <ack/> that is not this feed's or not the newest consumer's");
	end
end

hook("message/host", function (event)
	local tag = event.stanza.tags[1];
	if not tag or tag.attr.xmlns ~= NS then return; end
	if trusted(event) and event.stanza.attr.type ~= "error" then
		if tag.name == "resume" then resume(event.origin, tag.attr); elseif tag.name == "ack" then ack(tag.attr); end
	end
	return true;
end, 10);

-- Messages ----------------------------------------------------------------------------------------------------------

local function is_error(stanza) return stanza.attr.type == "error"; end

local function sent(event)
	local session, stanza = event.origin, event.stanza;
	if session.full_jid and not is_error(stanza) then tell("sent", session.username, session, nil, stanza); end
end
for _, address in ipairs { "bare", "full", "host" } do
	hook("pre-message/" .. address, sent, -10);  -- after every filter
end

local function archived(stanza, user)
	for tag in stanza:childtags("stanza-id", "urn:xmpp:sid:0") do if tag.attr.by == user then return true; end end
	return false;
end

local function handed_to(sessions, username, stanza)
	local stored = " stored='" .. tostring(archived(stanza, username .. "@" .. host)) .. "'";
	for _, session in pairs(sessions) do
		if not session.hibernating then
			if online then tell("received", username, nil, " state='online'" .. stored, stanza); end
			return;
		end
	end
	for _, session in pairs(sessions) do tell("received", username, session, " state='hibernated'" .. stored, stanza); end
end

-- Foresees what mod_message (priority -1) is about to do; what the block list, filters, the archive and carbons
-- have to say is behind us.
local function received(event)
	local stanza = event.stanza;
	local to, kind = stanza.attr.to, stanza.attr.type;
	if kind == "error" then return; end
	local username = to and jid.node(to) or event.origin.username;
	local session = to and full_sessions[to];
	if session then return handed_to({ session }, username, stanza); end
	local account = bare_sessions[username .. "@" .. host];
	if not account or kind == "groupchat" then return; end
	if kind ~= "headline" then return handed_to(account.top_resources or {}, username, stanza); end
	if not to or jid.resource(to) then return; end
	local takers = {};
	for _, s in pairs(account.sessions) do
		if s.presence and (s.priority or 0) >= 0 then takers[#takers+1] = s; end
	end
	handed_to(takers, username, stanza);
end
hook("message/bare", received, -0.9);
hook("message/full", received, -0.9);

local last_offline;
local function offline(username, stanza, kept)
	last_offline = stanza;
	if is_error(stanza) then return; end
	kept = kept and true or archived(stanza, username .. "@" .. host);
	tell("received", username, nil, " state='offline' stored='" .. tostring(kept) .. "'", stanza);
end

local function not_taken(event, kept)
	local origin = event.origin;
	local username = event.username or event.stanza.attr.to and jid.node(event.stanza.attr.to) or origin.username;
	-- what a dying session had not acknowledged is told by "delivery/failure"
	if origin.smacks == false and origin.username == username then return; end
	offline(username, event.stanza, kept);
end
module:wrap_event("message/offline/handle", function (handlers, name, event)
	local kept = handlers(name, event);
	safely(not_taken, event, kept);
	return kept;
end);

-- A groupchat message to an account (not to one of its sessions): nobody takes it on a stock Prosody
local function groupchat(event, handled)
	local stanza = event.stanza;
	if stanza == last_offline then return; end  -- a handler made it an offline message, and it was told
	local username = stanza.attr.to and jid.node(stanza.attr.to) or event.origin.username;
	local account = bare_sessions[username .. "@" .. host];
	if account then
		if handled then handed_to(account.sessions, username, stanza); end
	elseif user_exists(username, host) then
		offline(username, stanza, handled);
	end
end
module:wrap_event("message/bare/groupchat", function (handlers, name, event)
	last_offline = nil;
	local ret = handlers(name, event);
	safely(groupchat, event, ret);
	return ret;
end);

-- XEP-0198: not acknowledged when the connection went, or for smacks_max_ack_delay seconds; once per session
local told = setmetatable({}, { __mode = "k" });
local function unacked(session, stanza)
	if told[stanza] or stanza.name ~= "message" or is_error(stanza) or stanza:get_child("result", NS_MAM) then return; end
	told[stanza] = true;
	tell("unacked", session.username, session, nil, stanza);
end

local function unacked_queue(session, queue)
	for _, stanza in ipairs(queue or {}) do unacked(session, stanza); end
end

hook("smacks-ack-delayed", function (event)
	if event.origin.username then unacked_queue(event.origin, event.queue); end
end);

-- A replay: mod_offline stamped it when it stored it, and it was told then
local function from_store(stanza)
	for tag in stanza:childtags("delay", "urn:xmpp:delay") do if tag.attr.from == host then return true; end end
	return false;
end

-- The session ends for good and its client has not got this. If it was the account's last, that is a message for
-- somebody who is offline; else another session has it, or had it waiting.
hook("delivery/failure", function (event)
	local session, stanza = event.session, event.stanza;
	if not (session.username and session.resource) or stanza.name ~= "message" then return; end
	if not session.hibernating then unacked(session, stanza); end
	local account = bare_sessions[session.username .. "@" .. host];
	local sessions = account and account.sessions or {};
	local last = next(sessions) == session.resource and next(sessions, session.resource) == nil;
	if not last or from_store(stanza) or stanza:get_child("result", NS_MAM) then return; end
	local kind = stanza.attr.type or "normal";
	offline(session.username, stanza, hosts[host].modules.offline and (kind == "chat" or kind == "normal"));
end, 10);

-- Sessions ----------------------------------------------------------------------------------------------------------

hook("smacks-hibernation-start", function (event)
	local session = event.origin;
	session.event_feed_asleep = true;
	tell("hibernation-start", session.username, session);
	unacked_queue(session, event.queue);
end);
hook("smacks-hibernation-end", function (event)
	local session = event.resumed or event.origin;
	if not session.event_feed_asleep then return; end  -- it changed its connection without a break
	session.event_feed_asleep = nil;
	tell("hibernation-end", session.username, session);
end);
hook("resource-bind", function (event) tell("session-start", event.session.username, event.session); end);
hook("resource-unbind", function (event) tell("session-end", event.session.username, event.session); end, -10);
for _, account in pairs(hosts[host].sessions or {}) do
	for _, session in pairs(account.sessions) do session.event_feed_asleep = session.hibernating and true; end
end

-- Also when a session ends without <presence type='unavailable'/>: mod_presence sends one in its place
hook("presence/bare", function (event)
	local session, stanza = event.origin, event.stanza;
	if stanza.attr.to or not session.full_jid then return; end
	if stanza.attr.type == "unavailable" then
		if session.presence then tell("unavailable", session.username, session, priority_of(session)); end
	elseif not stanza.attr.type then
		local text = not flat_priority and stanza:get_child_text("priority") or "0";
		local priority = text:find("^[+-]?%d+$") and math.max(-128, math.min(127, tonumber(text))) or 0;
		if session.presence and session.priority == priority then return; end
		tell("available", session.username, session, " priority='" .. format("%d", priority) .. "'");
	end
end, 20);

local function pending_requests(username)
	local roster = user_exists(username, host) and rostermanager.load_roster(username, host);
	return roster and roster[false] and roster[false].pending or {};
end
local function subscription(handlers, name, event)
	local attr = event.stanza.attr;
	local username = attr.type == "subscribe" and attr.to and jid.node(attr.to);
	if not username then return handlers(name, event); end
	local contact = jid.bare(attr.from);
	local before = (safely(pending_requests, username) or {})[contact];
	local ret = handlers(name, event);
	safely(function ()
		local pending, count = pending_requests(username), 0;
		if before or not pending[contact] then return; end
		for _ in pairs(pending) do count = count + 1; end
		tell("subscribe", username, nil, " pending='" .. count .. "'");
	end);
	return ret;
end
module:wrap_event("presence/bare", subscription);
module:wrap_event("presence/full", subscription);

module:hook_global("user-deleted", function (event)
	if event.host == host then safely(tell, "user-removed", event.username); end
end);

-- IQs of our own, in the host's name ----------------------------------------------------------------------------------

local open = {};  -- id -> { to, expires, done, ... }. Not module:send_iq(): that holds 256 and evicts the oldest

local function ask(iq, timeout, request)
	local iq_id = id.medium();
	iq.attr.id = iq_id;
	request.to, request.expires = iq.attr.to, now() + timeout;
	open[iq_id] = request;
	module:send(iq);  -- the answer may come before this returns
end

local function answered(iq_id, answer)
	local request = open[iq_id];
	open[iq_id] = nil;
	if request then safely(request.done, request, answer); end
end

module:add_timer(1, function ()
	safely(function ()
		local t, late = now(), {};
		for iq_id, request in pairs(open) do if request.expires <= t then late[#late+1] = iq_id; end end
		for _, iq_id in ipairs(late) do answered(iq_id, nil); end
		flush();
		ring:tick();
	end);
	return 1;
end);

local function strip(element)  -- inside the server jabber:client is no namespace
	if element.attr.xmlns == "jabber:client" then
		element.attr.xmlns = nil;
		for _, child in ipairs(element.tags) do strip(child); end
	end
	return element;
end

-- Publish as host -----------------------------------------------------------------------------------------------------

local function published(request, answer)
	answer = answer or st.stanza("iq", { type = "error", from = request.to })
		:tag("error", { type = "wait", by = host }):tag("remote-server-timeout", { xmlns = NS_STANZAS }):up():up();
	answer.attr.id, answer.attr.to = request.inner_id, host;
	say("<iq type='result' id='" .. xml_escape(request.outer_id) .. "' " .. addresses .. "><publish xmlns='" .. NS .. "'>"
		.. inner(answer) .. "</publish></iq>");
end

-- The inner IQ, its address and timeout; nil when it is anything else than a publish
local function publish_of(stanza)
	local publish = stanza.tags[1];
	local iq = #publish.tags == 1 and publish.tags[1];
	local pubsub = iq and #iq.tags == 1 and iq.tags[1];
	if not pubsub or stanza.attr.type ~= "set" or iq.name ~= "iq" or iq.attr.xmlns ~= "jabber:client"
		or iq.attr.type ~= "set" or iq.attr.from or (iq.attr.id or "") == ""
		or pubsub.name ~= "pubsub" or pubsub.attr.xmlns ~= NS_PUBSUB then return; end
	local first, second_tag = pubsub.tags[1], pubsub.tags[2];
	if not first or first.name ~= "publish" or first.attr.xmlns ~= NS_PUBSUB or pubsub.tags[3]
		or second_tag and (second_tag.name ~= "publish-options" or second_tag.attr.xmlns ~= NS_PUBSUB) then return; end
	local timeout = publish.attr.timeout == nil and TIMEOUT or whole(publish.attr.timeout);
	local to = iq.attr.to and jid.prep(iq.attr.to);
	if to and timeout and timeout >= 1 and timeout <= MAX_TIMEOUT then return iq, to, timeout; end
end

hook("iq/host", function (event)
	local origin, stanza = event.origin, event.stanza;
	local attr, tag = stanza.attr, stanza.tags[1];
	if attr.type == "result" or attr.type == "error" then
		local request = open[attr.id];
		if not request or attr.from ~= request.to then return; end
		answered(attr.id, stanza);
		return true;
	elseif not tag or tag.attr.xmlns ~= NS then
		return;
	elseif not trusted(event) then
		origin.send(st.error_reply(stanza, "auth", "forbidden"));
		return true;
	end
	local iq, to, timeout;
	if tag.name == "publish" then iq, to, timeout = publish_of(stanza); end
	if not iq then
		origin.send(st.error_reply(stanza, "modify", "bad-request"));
		return true;
	end
	local request = { done = published, outer_id = attr.id, inner_id = iq.attr.id };
	strip(iq);
	iq.attr.from, iq.attr.to = host, to;
	ask(iq, timeout, request);
	return true;
end, 10);

-- Enable and disable, in the envelope of XEP-0355 ---------------------------------------------------------------------

local function delegated(request, answer)
	local function fail(kind, condition)
		module:send(st.error_reply(st.iq({ type = "set", id = request.id, from = request.full, to = request.bare }), kind, condition));
	end
	if not answer then return fail("wait", "remote-server-timeout"); end
	if answer.attr.type == "error" then return fail("cancel", "service-unavailable"); end
	local delegation = answer:get_child("delegation", NS_DELEGATION);
	local forwarded = delegation and delegation:get_child("forwarded", NS_FORWARD);
	local iq = forwarded and forwarded:get_child("iq", "jabber:client");
	local a = iq and iq.attr;
	if not a or a.type ~= "result" and a.type ~= "error" or a.id ~= request.id or a.to ~= request.full or a.from ~= request.bare then
		return fail("wait", "internal-server-error");
	end
	module:send(strip(iq));
end

-- Whatever the namespace has: what is wrong with a request is for the component to say
local function relay(event)
	local origin, stanza = event.origin, event.stanza;
	local kind, tag = stanza.attr.type, stanza.tags[1];
	if kind ~= "set" and kind ~= "get" or not tag or tag.attr.xmlns ~= NS_PUSH then return; end
	if not connected() then
		origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
		return true;
	end
	local full, bare = stanza.attr.from, jid.bare(stanza.attr.from);
	local copy = st.clone(stanza);
	copy.attr.xmlns, copy.attr.to = "jabber:client", bare;  -- the server has taken `to` away
	ask(st.iq({ type = "set", id = "", from = host, to = component }):tag("delegation", { xmlns = NS_DELEGATION })
		:tag("forwarded", { xmlns = NS_FORWARD }):add_child(copy):reset(), TIMEOUT,
		{ done = delegated, id = stanza.attr.id, full = full, bare = bare });
	return true;
end
hook("iq/self", relay, 10);
hook("account-disco-info", function (event)
	if connected() then event.reply:tag("feature", { var = NS_PUSH }):up(); end
end);

hook("module-loaded", function (event)
	if event.module == "cloud_notify" then
		module:log("error", "mod_cloud_notify was loaded beside mod_event_feed and answers the same <enable/>: unload one of them");
	end
end);

function module.save() return saved; end

function module.unload()  -- nobody waits for ever
	for iq_id in pairs(open) do answered(iq_id, nil); end
end
