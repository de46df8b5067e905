"""The outbox's statements, as driver SQL with ``?`` for values (`Writer.sql` writes them as the driver wants it)."""

#: The order in which `read_row` wants a row.
ROW_COLUMNS = (
    "id, backend, lane, trace, accepted_at, expires_at, attempts, due_at, overtaken, "
    "recipient, target, payload, format, registration_id, collapse_key"
)
# Done twice it does nothing: a commit whose answer got lost is repeated with the same ids.
INSERT = (
    "INSERT INTO event_pusher_deliveries (id, backend, lane, lane_key, trace, accepted_at, expires_at, attempts,"
    " due_at, overtaken, recipient, target, payload, format, registration_id, registration_key,"
    " collapse_key) VALUES {} ON CONFLICT (id) DO NOTHING"
)
ROW = f"({', '.join('?' * 17)})"
#: Rows of one INSERT: a few sizes, so that the drivers know the statements again. One statement for many rows, because
#: each is a moment at which another thread takes the interpreter, and does not give it back for up to 5 ms.
SIZES = (64, 16, 4, 1)
REMOVE = {
    "sqlite": "DELETE FROM event_pusher_deliveries WHERE id IN (SELECT value FROM json_each(?))",
    "postgresql": "DELETE FROM event_pusher_deliveries WHERE id = ANY(%s)",
}
RESCHEDULE = (
    "UPDATE event_pusher_deliveries SET attempts = ?, due_at = ?, overtaken = ?, reason = ?, history = ?"
    " WHERE id = ? AND state = 'waiting'"
)
BURY = (
    "UPDATE event_pusher_deliveries SET state = 'dead', attempts = ?, overtaken = ?, reason = ?, failed_at = ?,"
    " history = ? WHERE id = ?"
)
HISTORIES = "SELECT id, history FROM event_pusher_deliveries WHERE id IN ({})"
DISCARD = (
    "DELETE FROM event_pusher_deliveries WHERE registration_key {} AND registration_key IS NOT NULL"
    " AND registration_id = ? AND state = 'waiting' RETURNING id"
)
SAVE_POSITION = (
    "INSERT INTO event_pusher_feeds (source, host, feed, epoch, n) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (source, host, feed) DO UPDATE SET epoch = excluded.epoch, n = excluded.n"
)
REMEMBER = "INSERT INTO event_pusher_seen (expires_at, keys) VALUES (?, ?)"
FORGET_DEAD = (
    "DELETE FROM event_pusher_deliveries WHERE id IN (SELECT id FROM event_pusher_deliveries"
    " WHERE state = 'dead' AND failed_at < ? ORDER BY id LIMIT ?)"
)
FORGET = "DELETE FROM event_pusher_seen WHERE expires_at <= ?"
RESERVE = (
    "UPDATE event_pusher_owner SET next_id = ? + CASE WHEN next_id < ? THEN ? ELSE next_id END"
    " WHERE id = 1 RETURNING next_id"
)
SAVE_NEXT_ID = "UPDATE event_pusher_owner SET next_id = ? WHERE id = 1 AND next_id < ?"
LOAD = f"SELECT {ROW_COLUMNS} FROM event_pusher_deliveries WHERE"  # noqa: S608 - a constant
LOAD_AFTER = f"{LOAD} id > ? AND state = 'waiting' ORDER BY id LIMIT ?"
LOAD_IDS = f"{LOAD} state = 'waiting' AND id IN ({{}}) ORDER BY id"
LOAD_DUE = (
    f"{LOAD} due_at > 0 AND due_at <= ? AND (due_at > ? OR (due_at = ? AND id > ?)) AND id <= ? AND backend = ?"
    " AND state = 'waiting' ORDER BY due_at, id LIMIT ?"
)
NEXT_DUE = (
    "SELECT min(due_at) FROM event_pusher_deliveries WHERE due_at > 0 AND due_at > ? AND id <= ? AND backend = ?"
    " AND state = 'waiting'"
)
LOAD_TARGET = (
    f"{LOAD} id > ? AND id <= ? AND (target = ? OR ? = '') AND backend = ? AND state = 'waiting' AND due_at <= ?"
    " ORDER BY id LIMIT ?"
)
LOAD_LANE = " lane_key {} AND id > ? AND lane = ? AND backend = ? AND state = 'waiting' ORDER BY id LIMIT ?"
