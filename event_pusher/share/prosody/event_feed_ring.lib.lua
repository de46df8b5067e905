-- The ring behind mod_event_feed: numbered strings, bounded by bytes and by age, and the credit of their one consumer.
-- Knows nothing of XMPP: what goes out goes through the consumer's `send`.

local max, min, remove = math.max, math.min, table.remove;

local ring_methods = {};
local ring_mt = { __index = ring_methods };

-- bytes, age: the bound; now: a clock in seconds; lost(from, to): the string that tells a gap; snapshot(): adds the
-- snapshot's entries, called when a consumer has got all that was there at its resume. old: a ring to go on with.
local function new(options, old)
	local ring = setmetatable(old or {
		items = {}, at = {}, bytes = 0;
		free_from = 1, free_to = 0;   -- the newest snapshot's entries: they do not count against the bound
		first = 1;                    -- the oldest entry that is still here
		next = 1;                     -- the number that the next entry gets
		acked = 0;                    -- the highest entry that anybody acknowledged
		consumer = nil;               -- the newest one: { id, session, window, sent, acked, flight, gaps, mark }
		alone_since = options.now();  -- when the consumer went; nil while one is there
	}, ring_mt);
	ring.limit, ring.age, ring.now = options.bytes, options.age, options.now;
	ring.lost, ring.snapshot = options.lost, options.snapshot;
	return ring;
end

local function drop(self)
	local n = self.first;
	if n < self.free_from or n > self.free_to then self.bytes = self.bytes - #self.items[n]; end
	self.items[n], self.at[n] = nil, nil;
	self.first = n + 1;
end

-- The entry is head .. its number .. tail.
function ring_methods:add(head, tail)
	local n = self.next;
	local entry = head .. n .. tail;
	self.items[n], self.at[n] = entry, self.now();
	self.next = n + 1;
	if n > self.free_to then self.bytes = self.bytes + #entry; end
	self:pump();
	while self.bytes > self.limit and self.first < self.next do drop(self); end
end

-- position: the last entry that the consumer has, or nil when it does not know this ring's epoch.
-- Returns first, next and how many entries beyond the position are gone. Sends nothing yet: pump() does.
function ring_methods:resume(session, id, window, position)
	if position and (position < 0 or position >= self.next) then position = nil; end
	if position then self:free(position); end
	local from = position or self.acked;
	self.consumer = {
		id = id, session = session, window = window, sent = from, acked = from, flight = 0, gaps = {}, mark = self.next;
	};
	self.alone_since = nil;
	return self.first, self.next, position and max(0, self.first - position - 1) or 0;
end

function ring_methods:free(n)
	self.acked = max(self.acked, n);
	while self.first <= n do drop(self); end
end

-- Everything up to n is committed. False when it is not this consumer's to say.
function ring_methods:ack(id, n)
	local c = self.consumer;
	if not c or c.id ~= id or n > c.sent then return false; end
	if n > c.acked then
		local settled = n - c.acked;
		for i = #c.gaps, 1, -1 do  -- what a gap skipped was never on the wire
			local gap = c.gaps[i];
			settled = settled - max(0, min(gap.to, n) - max(gap.from, c.acked + 1) + 1);
			if gap.to <= n then remove(c.gaps, i); end
		end
		c.flight, c.acked = c.flight - settled, n;
		self:free(n);
	end
	self:pump();
	return true;
end

local function take_snapshot(self)
	for n = max(self.first, self.free_from), self.free_to do self.bytes = self.bytes + #self.items[n]; end
	self.free_from, self.free_to = self.next, math.huge;
	local ok, err = pcall(self.snapshot);
	self.free_to = self.next - 1;
	if not ok then error(err, 0); end
end

local function send(self, c)
	while c == self.consumer and not c.session.destroyed do
		if c.mark and c.sent + 1 >= c.mark then
			c.mark = nil;
			take_snapshot(self);
		elseif c.flight >= c.window or c.sent + 1 >= self.next then
			return;
		elseif c.sent + 1 < self.first then  -- the bound was faster than the consumer
			local gap = { from = c.sent + 1, to = self.first - 1 };
			c.gaps[#c.gaps+1], c.sent = gap, gap.to;
			c.session.send(self.lost(gap.from, gap.to));
		else
			c.sent, c.flight = c.sent + 1, c.flight + 1;
			c.session.send(self.items[c.sent]);
		end
	end
end

-- Send what the credit allows.
function ring_methods:pump()
	local c = self.consumer;
	if not c or c.pumping then return; end
	c.pumping = true;
	local ok, err = pcall(send, self, c);
	c.pumping = nil;
	if not ok then error(err, 0); end
end

-- Once a second: notices that the consumer went, and drops what is too old while there is none.
function ring_methods:tick()
	local now, c = self.now(), self.consumer;
	if not self.alone_since and (not c or c.session.destroyed) then self.alone_since = now; end
	if not self.alone_since or now - self.alone_since <= self.age then return; end
	while self.first < self.next and now - self.at[self.first] > self.age do drop(self); end
end

return { new = new };
