package sqlite

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"os"
)

// applicationID marks a file as ours: "ordr".
const applicationID = 0x6f726472

// steps make the tables: each moves them to the next version. A released step never
// changes.
var steps = []string{
	schema,       // 1
	listsOfUsers, // 2
	accounting,   // 3
	origins,      // 4
	operators,    // 5
}

var (
	//go:embed schema.sql
	schema string

	//go:embed userlists.sql
	listsOfUsers string

	//go:embed accounts.sql
	accounting string

	//go:embed origins.sql
	origins string

	//go:embed operators.sql
	operators string
)

// migrate makes the tables of a new file, or moves those of an earlier version forward.
// It changes nothing in a file of another application or of a later version.
func (f *file) migrate(ctx context.Context, log *slog.Logger) (err error) {
	c, err := f.dial()
	if err != nil {
		return err
	}
	defer c.close()
	defer c.conn.SetInterrupt(c.conn.SetInterrupt(ctx))
	version, err := f.committedVersion(c)
	if err == nil && 0 < version && version < len(steps) {
		log.InfoContext(ctx, "the file's tables are moved forward, which takes some seconds for a million orders",
			"file", f.path, "from_version", version, "to_version", len(steps))
	}
	if err == nil && version < len(steps) {
		err = describing(c.conn)
	}
	for err == nil && version < len(steps) {
		version, err = f.moveForward(c)
	}
	if err != nil && ctx.Err() != nil {
		return f.classify(fmt.Errorf("its tables could not be moved forward in the time that the start has; give the start more time: %w", ctx.Err()))
	}
	return err
}

// moveForward runs the next step, unless another process has run it, and returns the
// version.
func (f *file) moveForward(c *connection) (version int, err error) {
	t := &tx{connection: c}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return 0, err
	}
	defer func() {
		if !c.conn.GetAutocommit() {
			_ = c.conn.Exec("ROLLBACK")
		}
	}()
	if version, err = f.version(c); err != nil || version >= len(steps) {
		return version, err
	}
	version++
	if err := c.conn.Exec(fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", steps[version-1], applicationID, version)); err != nil {
		return 0, f.classify(fmt.Errorf("move its tables to version %d: %w", version, err))
	}
	_, err = t.exec("COMMIT")
	return version, err
}

// committedVersion returns the version in a transaction of its own. Without one, another
// process that makes the tables between the reads looks like another application.
func (f *file) committedVersion(c *connection) (version int, err error) {
	t := &tx{connection: c}
	if _, err := t.exec("BEGIN"); err != nil {
		return 0, err
	}
	defer func() {
		if _, e := t.exec("ROLLBACK"); err == nil {
			err = e
		}
	}()
	if version, err = f.version(c); err == nil && version > 0 {
		err = f.checkSize(c)
	}
	return version, err
}

// checkSize finds that the end of the file is missing, within a transaction. A check of
// each page would read the whole file. While there is a log, it may have the end.
func (f *file) checkSize(c *connection) error {
	if log, err := os.Stat(f.path + "-wal"); err == nil && log.Size() > 0 {
		return nil
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return f.classify(err)
	}
	var want int64
	err = (&tx{connection: c}).query(func(r row) bool { want = r.ColumnInt64(0); return true },
		"SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
	if err == nil && info.Size() < want {
		err = f.refuse("the file is damaged (it has %d of %d bytes); %s", info.Size(), want, putBackup)
	}
	return err
}

// version returns the version of the file's tables, 0 if it has none. It returns an error
// if the file is not ours.
func (f *file) version(c *connection) (int, error) {
	t := &tx{connection: c}
	var application, version, tables int
	for sql, to := range map[string]*int{
		"PRAGMA application_id":              &application,
		"PRAGMA user_version":                &version,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := t.query(func(r row) bool { *to = r.ColumnInt(0); return true }, sql); err != nil {
			return 0, err
		}
	}
	switch {
	case application == 0 && version == 0 && tables == 0:
		return 0, nil
	case application != applicationID:
		return 0, f.refuse("it is the SQLite file of another application; give another path")
	case version > len(steps):
		return 0, f.refuse("a newer release has written it (version %d of its tables; this one knows %d); start that release", version, len(steps))
	case version < 1:
		return 0, f.refuse("the file is damaged (version %d of its tables); %s", version, putBackup)
	}
	return version, nil
}
