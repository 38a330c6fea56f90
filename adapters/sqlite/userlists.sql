-- The orders and the deliveries of each user. An index would cost a page for almost each
-- row, because rows that come together are of many users. So these indexes have two parts:
-- new entries are in the recent one, which is small. The writer moves them to the other
-- one, many of a user at once: see userlists.go.
CREATE TABLE user_orders (
	user_id    TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	id         TEXT NOT NULL,
	PRIMARY KEY (user_id, created_at, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE recent_user_orders (
	user_id    TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	id         TEXT NOT NULL,
	PRIMARY KEY (user_id, created_at, id)
) STRICT, WITHOUT ROWID;
INSERT INTO user_orders SELECT user_id, created_at, id FROM orders;
DROP INDEX orders_user_latest;
CREATE TRIGGER orders_insert AFTER INSERT ON orders BEGIN
	INSERT INTO recent_user_orders VALUES (new.user_id, new.created_at, new.id);
END;
CREATE TRIGGER orders_update AFTER UPDATE OF user_id, created_at, id ON orders BEGIN
	DELETE FROM user_orders WHERE (user_id, created_at, id) = (old.user_id, old.created_at, old.id);
	DELETE FROM recent_user_orders WHERE (user_id, created_at, id) = (old.user_id, old.created_at, old.id);
	INSERT INTO recent_user_orders VALUES (new.user_id, new.created_at, new.id);
END;
CREATE TRIGGER orders_delete AFTER DELETE ON orders BEGIN
	DELETE FROM user_orders WHERE (user_id, created_at, id) = (old.user_id, old.created_at, old.id);
	DELETE FROM recent_user_orders WHERE (user_id, created_at, id) = (old.user_id, old.created_at, old.id);
END;

CREATE TABLE user_deliveries (
	user_id   TEXT NOT NULL,
	at        INTEGER NOT NULL,
	event_id  TEXT NOT NULL,
	channel   TEXT NOT NULL,
	recipient TEXT NOT NULL,
	PRIMARY KEY (user_id, at, event_id, channel, recipient)
) STRICT, WITHOUT ROWID;
CREATE TABLE recent_user_deliveries (
	user_id   TEXT NOT NULL,
	at        INTEGER NOT NULL,
	event_id  TEXT NOT NULL,
	channel   TEXT NOT NULL,
	recipient TEXT NOT NULL,
	PRIMARY KEY (user_id, at, event_id, channel, recipient)
) STRICT, WITHOUT ROWID;
INSERT INTO user_deliveries SELECT user_id, at, event_id, channel, recipient FROM deliveries WHERE user_id <> '';
DROP INDEX deliveries_user_latest;
CREATE TRIGGER deliveries_insert AFTER INSERT ON deliveries WHEN new.user_id <> '' BEGIN
	INSERT INTO recent_user_deliveries VALUES (new.user_id, new.at, new.event_id, new.channel, new.recipient);
END;
CREATE TRIGGER deliveries_update AFTER UPDATE OF user_id, at, event_id, channel, recipient ON deliveries BEGIN
	DELETE FROM user_deliveries
		WHERE (user_id, at, event_id, channel, recipient) = (old.user_id, old.at, old.event_id, old.channel, old.recipient);
	DELETE FROM recent_user_deliveries
		WHERE (user_id, at, event_id, channel, recipient) = (old.user_id, old.at, old.event_id, old.channel, old.recipient);
	INSERT INTO recent_user_deliveries SELECT new.user_id, new.at, new.event_id, new.channel, new.recipient WHERE new.user_id <> '';
END;
CREATE TRIGGER deliveries_delete AFTER DELETE ON deliveries BEGIN
	DELETE FROM user_deliveries
		WHERE (user_id, at, event_id, channel, recipient) = (old.user_id, old.at, old.event_id, old.channel, old.recipient);
	DELETE FROM recent_user_deliveries
		WHERE (user_id, at, event_id, channel, recipient) = (old.user_id, old.at, old.event_id, old.channel, old.recipient);
END;
