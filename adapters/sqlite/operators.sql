-- What operators need: the dead letters' events, users and groups, and what operators did.
-- The old letters' pages are overwritten, because they have personal data.
PRAGMA secure_delete = ON;

ALTER TABLE dead_letters RENAME TO old_dead_letters;
DROP INDEX dead_letters_oldest;
DROP INDEX dead_letters_state_oldest;
DROP INDEX dead_letters_settled;
DROP INDEX dead_letters_waiting;
-- The large columns are the last ones, so that lists don't read them.
CREATE TABLE dead_letters (
	id           TEXT NOT NULL PRIMARY KEY,
	subscription TEXT NOT NULL,
	message_id   TEXT NOT NULL,
	state        TEXT NOT NULL,
	since        INTEGER NOT NULL,
	settled_at   INTEGER,       -- NULL: it waits
	settled_by   TEXT NOT NULL,
	event_type   TEXT NOT NULL, -- empty: unknown
	user_id      TEXT NOT NULL, -- empty: unknown, or forgotten
	reason_group TEXT NOT NULL, -- of the latest failure
	failures     TEXT NOT NULL, -- JSON
	properties   TEXT NOT NULL, -- JSON: the message without its body
	body         BLOB NOT NULL
) STRICT;
-- The functions are in describe.go.
INSERT INTO dead_letters SELECT id, subscription, message_id, state, since, settled_at, settled_by,
	event_type_of(properties), user_id_of(body), reason_group_of(failures), failures, properties, body
	FROM old_dead_letters ORDER BY rowid;
DROP TABLE old_dead_letters;
CREATE INDEX dead_letters_oldest ON dead_letters (since, id);
CREATE INDEX dead_letters_state_oldest ON dead_letters (state, since, id);
CREATE INDEX dead_letters_settled ON dead_letters (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX dead_letters_waiting ON dead_letters (subscription, id, since, settled_at) WHERE settled_at IS NULL;
CREATE INDEX dead_letters_user_oldest ON dead_letters (user_id, since, id) WHERE user_id <> '';
-- The groups of letters are counted from this index alone.
CREATE INDEX dead_letters_groups ON dead_letters (state, subscription, reason_group, since, id, settled_at, event_type, user_id);

CREATE TABLE operator_actions (
	id       TEXT PRIMARY KEY,
	at       INTEGER NOT NULL,
	by       TEXT NOT NULL,
	action   TEXT NOT NULL,
	target   TEXT NOT NULL,
	reason   TEXT NOT NULL,
	ended_at INTEGER,          -- NULL: it has not ended
	outcome  TEXT NOT NULL,
	n        INTEGER NOT NULL, -- how many records it has changed
	error    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX operator_actions_latest ON operator_actions (at, id);
CREATE INDEX operator_actions_action_latest ON operator_actions (action, at, id);
CREATE INDEX operator_actions_by_latest ON operator_actions (by, at, id);
