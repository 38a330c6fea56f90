package sqlite

import (
	"context"
	_ "embed"
)

//go:embed schema.sql
var schema string

// migrate makes the tables, or moves those of an earlier version forward.
func (s *Store) migrate(context.Context) error {
	c := s.writer.conn
	if err := c.Exec("BEGIN IMMEDIATE"); err != nil {
		return s.file.classify(err)
	}
	var version int
	st, _, err := c.Prepare("PRAGMA user_version")
	if err == nil {
		if st.Step() {
			version = st.ColumnInt(0)
		}
		err = st.Close()
	}
	if err == nil && version == 0 {
		err = c.Exec(schema + "PRAGMA user_version = 1;")
	}
	if err != nil {
		_ = c.Exec("ROLLBACK")
		return s.file.classify(err)
	}
	return s.file.classify(c.Exec("COMMIT"))
}
