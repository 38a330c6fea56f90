-- Times are in milliseconds since 1970, UTC.

CREATE TABLE owners (
	id         INTEGER PRIMARY KEY,
	started_at INTEGER NOT NULL
) STRICT;

-- Totals that are kept up to date by each write, so that nobody has to count.
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

-- The orders whose events are not published yet.
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

-- The large columns are the last ones, so that lists don't read them.
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

-- The queues that exist beside the main queue, whose subscription has an empty name.
CREATE TABLE subscriptions (
	name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The messages in the queues: each queue has a copy.
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

-- Dead letters that no store has kept yet.
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

-- Where the data is being moved, or was moved.
CREATE TABLE moved (
	id     INTEGER PRIMARY KEY CHECK (id = 1),
	target TEXT NOT NULL,
	at     INTEGER NOT NULL,
	owner  INTEGER -- who moves it; NULL: it was moved
) STRICT;
