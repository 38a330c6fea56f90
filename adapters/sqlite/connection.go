package sqlite

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// connection is a connection with its prepared statements. One goroutine uses it at a
// time.
type connection struct {
	file       file
	conn       *sqlite3.Conn
	statements map[string]*sqlite3.Stmt // by their text
	unsynced   bool                     // the latest transaction was not synced by itself

	dataVersion  int64 // as sawChange has seen it
	logPages     int   // as watchLog has seen them
	checkpointAt int   // pages of the log
}

// close closes the connection with its statements: SQLite keeps a connection open that
// has some.
func (c *connection) close() {
	for _, st := range c.statements {
		_ = st.Close()
	}
	_ = c.conn.Close()
}

// leaveFiles keeps close from deleting the log: at its path may be another database's.
func (c *connection) leaveFiles() {
	_, _ = c.conn.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true)
	_, _ = c.conn.FileControl("main", sqlite3.FCNTL_PERSIST_WAL, true)
}

// tx is a transaction.
type tx struct {
	*connection
	fault  error             // the first error of SQLite, which ends the transaction
	counts map[string]int    // changes of counters
	listed map[*userList]int // new entries
	after  []func()          // called after the commit
}

// exec runs a statement and returns how many rows it has changed.
func (t *tx) exec(sql string, args ...any) (changed int, err error) {
	err = t.query(nil, sql, args...)
	return int(t.conn.Changes()), err
}

// query runs a statement and calls each with its rows, until each returns false. each
// may keep nothing of the row but what its methods return, and must not run the same
// statement.
func (t *tx) query(each func(row) bool, sql string, args ...any) error {
	err := t.step(each, sql, args)
	if err != nil {
		err = t.file.classify(err)
		if t.fault == nil {
			t.fault = err
		}
	}
	return err
}

func (t *tx) step(each func(row) bool, sql string, args []any) (err error) {
	st, err := t.prepare(sql)
	if err != nil {
		return err
	}
	defer func() {
		if e := st.Reset(); err == nil {
			err = e
		}
	}()
	if err := bind(st, args); err != nil {
		return err
	}
	for st.Step() {
		if each != nil && !each(row{st}) {
			return nil
		}
	}
	return st.Err() // Reset does not return an interruption
}

func (c *connection) prepare(sql string) (*sqlite3.Stmt, error) {
	if st := c.statements[sql]; st != nil {
		return st, nil
	}
	st, _, err := c.conn.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err == nil {
		c.statements[sql] = st
	}
	return st, err
}

// bind sets the statement's parameters. Times are bound in milliseconds, and the zero time
// as NULL.
func bind(st *sqlite3.Stmt, args []any) (err error) {
	for i, arg := range args {
		switch v := arg.(type) {
		case nil:
			err = st.BindNull(i + 1)
		case string:
			err = st.BindText(i+1, v)
		case int:
			err = st.BindInt(i+1, v)
		case int64:
			err = st.BindInt64(i+1, v)
		case []byte:
			if v == nil {
				v = []byte{}
			}
			err = st.BindBlob(i+1, v)
		case time.Time:
			if v.IsZero() {
				err = st.BindNull(i + 1)
			} else {
				err = st.BindInt64(i+1, v.UnixMilli())
			}
		default:
			panic(fmt.Sprintf("parameter %d of %s has type %T", i+1, st.SQL(), arg))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// row is a row of a result.
type row struct{ *sqlite3.Stmt }

// time returns the column's time; NULL is the zero time.
func (r row) time(column int) time.Time {
	if r.ColumnType(column) == sqlite3.NULL {
		return time.Time{}
	}
	return time.UnixMilli(r.ColumnInt64(column)).UTC()
}

// blob returns a copy of the column.
func (r row) blob(column int) []byte { return r.ColumnBlob(column, nil) }
