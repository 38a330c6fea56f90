-- What the accounts need: see account.go.

-- The orders' times. An index of them would cost each order 1 %; without, only what waits is
-- read.
ALTER TABLE outbox ADD COLUMN ordered_at INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET ordered_at = coalesce((SELECT o.created_at FROM orders AS o WHERE o.id = order_id), 0);
INSERT OR REPLACE INTO counters (name, n) SELECT 'published', (SELECT count(*) FROM orders) - (SELECT count(*) FROM outbox);

-- Since when a notification is retried, held or dead.
ALTER TABLE deliveries ADD COLUMN since INTEGER;
UPDATE deliveries SET since = CASE state
	WHEN 'retrying' THEN coalesce(json_extract(details, '$.first'), json_extract(details, '$.attempts[0].at'), at)
	ELSE at
	END WHERE state IN ('retrying', 'held', 'dead') AND json_valid(details);
CREATE INDEX deliveries_open ON deliveries (channel, recipient, state, since) WHERE since IS NOT NULL;
INSERT OR REPLACE INTO counters (name, n) SELECT state || ' ' || channel || ' ' || recipient, count(*)
	FROM deliveries WHERE state IN ('sent', 'skipped') GROUP BY channel, recipient, state;

CREATE INDEX dead_letters_waiting ON dead_letters (subscription, id, since, settled_at) WHERE settled_at IS NULL;
INSERT OR REPLACE INTO counters (name, n)
	SELECT state || iif(substr(id, 1, 11) = 'unreadable-', ' other ', ' event ') || subscription, count(*)
	FROM dead_letters WHERE settled_at IS NOT NULL GROUP BY subscription, state, substr(id, 1, 11) = 'unreadable-';

-- From which event on a recipient gets events.
CREATE TABLE openings (
	channel   TEXT NOT NULL,
	recipient TEXT NOT NULL,
	at        INTEGER NOT NULL,
	before    INTEGER NOT NULL,
	uncertain INTEGER NOT NULL,
	PRIMARY KEY (channel, recipient)
) STRICT, WITHOUT ROWID;
