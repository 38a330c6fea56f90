package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// file is the database's file and the settings of its connections.
type file struct {
	path        string
	synchronous string // of durable writes
	cacheSize   int
}

const scheme = "sqlite:"

func parseURL(text string) (file, error) {
	f := file{synchronous: "full", cacheSize: -2000}
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return file{}, errors.New("the URL must begin with " + scheme)
	}
	path, query, _ := strings.Cut(rest, "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return file{}, err
	}
	if after, ok := strings.CutPrefix(path, "//"); ok {
		path = after
	}
	if path == "" {
		return file{}, errors.New("the URL has no path; give one such as sqlite:data/orderflow.db")
	}
	f.path = path
	options, err := url.ParseQuery(query)
	if err != nil {
		return file{}, err
	}
	for name, values := range options {
		switch value := values[0]; name {
		case "synchronous":
			if value != "full" && value != "extra" {
				return file{}, fmt.Errorf("synchronous=%s: must be full or extra", value)
			}
			f.synchronous = value
		case "cache_size":
			if f.cacheSize, err = strconv.Atoi(value); err != nil {
				return file{}, fmt.Errorf("cache_size=%s: must be a whole number", value)
			}
		default:
			return file{}, fmt.Errorf("unknown option %s", name)
		}
	}
	return f, nil
}

// busyTimeout is how long a write waits for another process's transaction.
const busyTimeout = 5 * time.Second

// connect opens a connection.
func (f file) connect(context.Context) (*connection, error) {
	conn, err := sqlite3.OpenFlags(f.path, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return nil, f.classify(err)
	}
	c := &connection{file: f, conn: conn, statements: make(map[string]*sqlite3.Stmt)}
	err = errors.Join(
		conn.BusyTimeout(busyTimeout),
		conn.Exec("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = OFF; PRAGMA synchronous = "+f.synchronous+"; PRAGMA cache_size = "+strconv.Itoa(f.cacheSize)),
	)
	if err != nil {
		c.close()
		return nil, f.classify(err)
	}
	return c, nil
}
