CREATE TABLE owners (
	id         INTEGER PRIMARY KEY,
	started_at INTEGER NOT NULL
) STRICT;
CREATE TABLE counters (
	name TEXT PRIMARY KEY,
	n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE orders (
	id         TEXT PRIMARY KEY,
	user_id    TEXT NOT NULL,
	product    TEXT NOT NULL,
	quantity   INTEGER NOT NULL,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_latest ON orders (created_at, id);
CREATE INDEX orders_user_latest ON orders (user_id, created_at, id);
CREATE TABLE outbox (
	order_id TEXT PRIMARY KEY,
	owner    INTEGER,          -- who has claimed it; NULL: nobody
	free_at  INTEGER NOT NULL  -- when the claim ends
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_free ON outbox (free_at);
CREATE TABLE deliveries (
	event_id      TEXT NOT NULL,
	channel       TEXT NOT NULL,
	recipient     TEXT NOT NULL,
	user_id       TEXT NOT NULL,
	state         TEXT NOT NULL,
	at            INTEGER NOT NULL,
	next_try      INTEGER,       -- while it waits
	held_channel  TEXT,          -- while a pause holds it
	held_receiver TEXT,
	details       TEXT NOT NULL, -- JSON
	event         TEXT,          -- JSON; while it waits
	PRIMARY KEY (event_id, channel, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_latest ON deliveries (channel, state, at, event_id, recipient);
CREATE INDEX deliveries_user_latest ON deliveries (user_id, at, event_id, channel, recipient);
CREATE INDEX deliveries_due ON deliveries (channel, next_try) WHERE next_try IS NOT NULL;
CREATE INDEX deliveries_held ON deliveries (held_channel, held_receiver, at) WHERE held_channel IS NOT NULL;
CREATE TABLE delivery_claims (
	event_id  TEXT NOT NULL,
	channel   TEXT NOT NULL,
	recipient TEXT NOT NULL,
	token     INTEGER NOT NULL,
	owner     INTEGER NOT NULL,
	ends      INTEGER NOT NULL,
	PRIMARY KEY (event_id, channel, recipient)
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letters (
	id           TEXT NOT NULL PRIMARY KEY,
	subscription TEXT NOT NULL,
	message_id   TEXT NOT NULL,
	state        TEXT NOT NULL,
	since        INTEGER NOT NULL,
	settled_at   INTEGER,       -- NULL: it waits
	settled_by   TEXT NOT NULL,
	failures     TEXT NOT NULL, -- JSON
	properties   TEXT NOT NULL, -- JSON: the message without its body
	body         BLOB NOT NULL
) STRICT;
CREATE INDEX dead_letters_oldest ON dead_letters (since, id);
CREATE INDEX dead_letters_state_oldest ON dead_letters (state, since, id);
CREATE INDEX dead_letters_settled ON dead_letters (settled_at) WHERE settled_at IS NOT NULL;
CREATE TABLE contacts (
	user_id    TEXT PRIMARY KEY,
	language   TEXT NOT NULL,
	addresses  TEXT NOT NULL, -- JSON
	off        TEXT NOT NULL, -- JSON
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE channels (
	name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE pauses (
	channel  TEXT NOT NULL,
	receiver TEXT NOT NULL,
	kind     TEXT NOT NULL,
	reason   TEXT NOT NULL,
	by       TEXT NOT NULL,
	since    INTEGER NOT NULL,
	probe    INTEGER,
	probes   INTEGER NOT NULL,
	PRIMARY KEY (channel, receiver)
) STRICT, WITHOUT ROWID;
CREATE TABLE subscriptions (
	name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
	id            INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of arrival; never used again
	subscription  TEXT NOT NULL,
	properties    TEXT NOT NULL,       -- JSON: the message without its body
	body          BLOB NOT NULL,
	attempt       INTEGER NOT NULL,    -- the next one, from 1
	first_failure INTEGER,
	due           INTEGER NOT NULL,    -- when it may be taken
	owner         INTEGER              -- who has taken it; NULL: nobody
) STRICT;
CREATE INDEX messages_free ON messages (subscription, due, id) WHERE owner IS NULL;
CREATE INDEX messages_taken ON messages (owner) WHERE owner IS NOT NULL;
CREATE TABLE dead_letter_queue (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	letter_id    TEXT NOT NULL,
	subscription TEXT NOT NULL,
	properties   TEXT NOT NULL,
	body         BLOB NOT NULL,
	failures     TEXT NOT NULL, -- JSON: one
	due          INTEGER NOT NULL,
	owner        INTEGER
) STRICT;
CREATE INDEX dead_letter_queue_free ON dead_letter_queue (due, id) WHERE owner IS NULL;
CREATE TABLE moved (
	id     INTEGER PRIMARY KEY CHECK (id = 1),
	target TEXT NOT NULL,
	at     INTEGER NOT NULL,
	owner  INTEGER -- who moves it; NULL: it was moved
) STRICT;
INSERT INTO channels VALUES ('mail');
INSERT INTO contacts VALUES ('ann', 'en', '{"mail":"ann@example.com"}', 'null', 1795428000000);
INSERT INTO counters VALUES ('orders', 3);
INSERT INTO dead_letter_queue VALUES (1, '0192f0c1-2d3e-7f4a-8b5c-000000000007-created.audit', 'audit', '{"id":"0192f0c1-2d3e-7f4a-8b5c-000000000007-created","content_type":"application/json","headers":{"ce-id":"0192f0c1-2d3e-7f4a-8b5c-000000000007-created","ce-source":"/orderflow/orders","ce-specversion":"1.0","ce-subject":"0192f0c1-2d3e-7f4a-8b5c-000000000007","ce-time":"2026-11-23T10:00:00.007Z","ce-type":"order.created"},"timestamp":"2026-11-23T10:00:00.007Z"}', X'7B226964223A2230313932663063312D326433652D376634612D386235632D303030303030303030303037222C22757365725F6964223A22616E6E222C2270726F64756374223A224C6170746F70222C227175616E74697479223A312C22637265617465645F6174223A22323032362D31312D32335431303A30303A30302E3030375A227D', '[{"reason":"reason 1","attempts":1,"first_failure":"2026-11-23T10:00:00.001Z","last_failure":"2026-11-23T10:00:00.001Z"}]', 0, NULL);
INSERT INTO dead_letters VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000001-created', '', 'message 1', 'waiting', 1795428000001, NULL, '', '[{"reason":"reason 1","attempts":1,"first_failure":"2026-11-23T10:00:00.001Z","last_failure":"2026-11-23T10:00:00.001Z"}]', '{"id":"message 1"}', X'7B7D');
INSERT INTO dead_letters VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000002-created', '', 'message 2', 'waiting', 1795428000002, NULL, '', '[{"reason":"reason 2","attempts":1,"first_failure":"2026-11-23T10:00:00.002Z","last_failure":"2026-11-23T10:00:00.002Z"}]', '{"id":"message 2"}', X'7B7D');
INSERT INTO deliveries VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000000-created', 'mail', '', 'ann', 'sent', 1795428000000, NULL, NULL, NULL, '{"attempt":1,"reason":"reason","attempts":[{"at":1795428000000,"ms":0,"outcome":"refused","code":"500","answer":"no"}]}', NULL);
INSERT INTO deliveries VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000001-created', 'mail', '', 'ann', 'retrying', 1795428000001, 1763892000001, NULL, NULL, '{"attempt":1,"reason":"reason","attempts":[{"at":1795428000000,"ms":0,"outcome":"refused","code":"500","answer":"no"}]}', '{"properties":{"id":"0192f0c1-2d3e-7f4a-8b5c-000000000001-created","content_type":"application/json","headers":{"ce-id":"0192f0c1-2d3e-7f4a-8b5c-000000000001-created","ce-source":"/orderflow/orders","ce-specversion":"1.0","ce-subject":"0192f0c1-2d3e-7f4a-8b5c-000000000001","ce-time":"2026-11-23T10:00:00.001Z","ce-type":"order.created"},"timestamp":"2026-11-23T10:00:00.001Z"},"body":{"id":"0192f0c1-2d3e-7f4a-8b5c-000000000001","user_id":"ann","product":"Laptop","quantity":1,"created_at":"2026-11-23T10:00:00.001Z"}}');
INSERT INTO deliveries VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000002-created', 'mail', '', 'ann', 'held', 1795428000002, 1763892000002, 'mail', 'receiver', '{"attempt":1,"reason":"reason","attempts":[{"at":1795428000000,"ms":0,"outcome":"refused","code":"500","answer":"no"}]}', '{"properties":{"id":"0192f0c1-2d3e-7f4a-8b5c-000000000002-created","content_type":"application/json","headers":{"ce-id":"0192f0c1-2d3e-7f4a-8b5c-000000000002-created","ce-source":"/orderflow/orders","ce-specversion":"1.0","ce-subject":"0192f0c1-2d3e-7f4a-8b5c-000000000002","ce-time":"2026-11-23T10:00:00.002Z","ce-type":"order.created"},"timestamp":"2026-11-23T10:00:00.002Z"},"body":{"id":"0192f0c1-2d3e-7f4a-8b5c-000000000002","user_id":"ann","product":"Laptop","quantity":1,"created_at":"2026-11-23T10:00:00.002Z"}}');
INSERT INTO deliveries VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000003-created', 'mail', '', 'ann', 'dead', 1795428000003, NULL, NULL, NULL, '{"attempt":1,"reason":"reason","attempts":[{"at":1795428000000,"ms":0,"outcome":"refused","code":"500","answer":"no"}]}', NULL);
INSERT INTO messages VALUES (1, '', '{"id":"0192f0c1-2d3e-7f4a-8b5c-000000000007-created","content_type":"application/json","headers":{"ce-id":"0192f0c1-2d3e-7f4a-8b5c-000000000007-created","ce-source":"/orderflow/orders","ce-specversion":"1.0","ce-subject":"0192f0c1-2d3e-7f4a-8b5c-000000000007","ce-time":"2026-11-23T10:00:00.007Z","ce-type":"order.created"},"timestamp":"2026-11-23T10:00:00.007Z"}', X'7B226964223A2230313932663063312D326433652D376634612D386235632D303030303030303030303037222C22757365725F6964223A22616E6E222C2270726F64756374223A224C6170746F70222C227175616E74697479223A312C22637265617465645F6174223A22323032362D31312D32335431303A30303A30302E3030375A227D', 1, NULL, 0, NULL);
INSERT INTO messages VALUES (2, 'audit', '{"id":"0192f0c1-2d3e-7f4a-8b5c-000000000007-created","content_type":"application/json","headers":{"ce-id":"0192f0c1-2d3e-7f4a-8b5c-000000000007-created","ce-source":"/orderflow/orders","ce-specversion":"1.0","ce-subject":"0192f0c1-2d3e-7f4a-8b5c-000000000007","ce-time":"2026-11-23T10:00:00.007Z","ce-type":"order.created"},"timestamp":"2026-11-23T10:00:00.007Z"}', X'7B226964223A2230313932663063312D326433652D376634612D386235632D303030303030303030303037222C22757365725F6964223A22616E6E222C2270726F64756374223A224C6170746F70222C227175616E74697479223A312C22637265617465645F6174223A22323032362D31312D32335431303A30303A30302E3030375A227D', 1, NULL, 0, NULL);
INSERT INTO orders VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000000', 'ann', 'Laptop', 1, 1795428000000);
INSERT INTO orders VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000001', 'ann', 'Laptop', 1, 1795428000001);
INSERT INTO orders VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000002', 'ann', 'Laptop', 1, 1795428000002);
INSERT INTO outbox VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000001', NULL, 0);
INSERT INTO outbox VALUES ('0192f0c1-2d3e-7f4a-8b5c-000000000002', NULL, 0);
INSERT INTO pauses VALUES ('mail', '', 'paused', 'reason', 'ann', 1795428000000, NULL, 0);
INSERT INTO subscriptions VALUES ('audit');
PRAGMA application_id = 1869767794;
PRAGMA user_version = 1;
