package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/orderflow/ports"
)

// minFree is how many bytes of the file's disk have to be free: its log alone may take
// some tens of megabytes.
const minFree = 100 << 20

// Check reports whether a store in the file at the URL would work: the file system, the
// rights, the free disk, the version of the tables, and every page of the file. It takes
// as long as reading the file, changes nothing in it, and makes none. Services may use the
// file meanwhile.
func Check(ctx context.Context, url string) []ports.Finding {
	f, err := parseURL(url)
	if err == nil {
		f.path, err = resolve(f.path)
	}
	if err != nil {
		return []ports.Finding{{What: "URL", Fault: err.Error(), WayOut: "correct the URL"}}
	}
	c := &check{file: f}
	if c.folder() && c.rights() {
		c.content(ctx)
	}
	return c.found
}

// check gathers the findings about one file.
type check struct {
	file
	found []ports.Finding
}

func (c *check) add(what, value, fault, wayOut string) {
	c.found = append(c.found, ports.Finding{What: what, Value: value, Fault: fault, WayOut: wayOut})
}

// failed adds the error, which says what to do.
func (c *check) failed(what, value string, err error) {
	text := strings.TrimPrefix(err.Error(), ports.ErrUnavailable.Error()+": ")
	text = strings.TrimPrefix(text, c.path+": ")
	fault, wayOut, found := strings.Cut(text, "; ")
	if !found {
		wayOut = "see the system's log, and whether other programs use the file"
	}
	c.add(what, value, fault, wayOut)
}

// folder checks the file system and the folder. It reports false if no file can be used
// there.
func (c *check) folder() (ok bool) {
	folder := filepath.Dir(c.path)
	if _, err := os.Stat(folder); err != nil {
		c.failed("folder", folder, c.classify(err))
		return false
	}
	switch warning, err := c.checkFileSystem(kindOf(folder)); {
	case err != nil:
		c.failed("file system", folder, err)
		return false
	case warning != "":
		c.add("file system", warning, "", "")
	default:
		c.add("file system", "local", "", "")
	}
	if err := c.probe(); err != nil {
		c.failed("folder", folder, c.classify(err))
	} else {
		c.add("folder", folder+" can be written", "", "")
	}
	if free, known := freeBytes(folder); known {
		fault, wayOut := "", ""
		if free < minFree {
			fault = fmt.Sprintf("the disk is nearly full: less than %d MiB are free", minFree>>20)
			wayOut = "free some space, or move the file to a larger disk"
		}
		c.add("free disk", fmt.Sprintf("%d MiB", free>>20), fault, wayOut)
	}
	return true
}

// rights checks the file itself. It reports false if there is none to read.
func (c *check) rights() (ok bool) {
	info, err := os.Stat(c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.add("file", c.path+" does not exist yet; the first start makes it", "", "")
		return false
	case err == nil && info.IsDir():
		c.failed("file", c.path, c.refuse("it is a folder; give the path of a file"))
		return false
	case err == nil && !info.Mode().IsRegular():
		c.failed("file", c.path, c.refuse("it is no regular file; give the path of one"))
		return false
	}
	var file *os.File
	if err == nil {
		file, err = os.OpenFile(c.path, os.O_RDWR, 0)
	}
	if err != nil {
		c.failed("file", c.path, c.classify(err))
		return false
	}
	err = c.checkNames(file)
	file.Close()
	if err != nil {
		c.failed("file", c.path, err)
		return false
	}
	c.mode = info.Mode().Perm()
	c.add("file", fmt.Sprintf("%s, %d KiB, mode %04o", c.path, info.Size()>>10, c.mode), "", "")
	return true
}

// content checks the tables and every page.
func (c *check) content(ctx context.Context) {
	conn, err := c.dial()
	if err != nil {
		c.failed("tables", "", err)
		return
	}
	defer conn.close()
	defer conn.conn.SetInterrupt(conn.conn.SetInterrupt(ctx))
	version, err := c.committedVersion(conn)
	switch {
	case err != nil:
		c.failed("tables", "", err)
		return
	case version == 0:
		c.add("tables", "none yet; the first start makes them", "", "")
		return
	case version < len(steps):
		c.add("tables", fmt.Sprintf("version %d; the start moves them to version %d", version, len(steps)), "", "")
	default:
		c.add("tables", fmt.Sprintf("version %d", version), "", "")
	}
	t := &tx{connection: conn}
	err = t.query(func(r row) bool {
		c.failed("tables", "", c.refuse("the data was moved to %s; use that store, or undo the move (orderflow move --undo)", r.ColumnText(0)))
		return false
	}, "SELECT target FROM moved WHERE owner IS NULL")
	if err != nil {
		c.failed("tables", "", err)
	}
	began := time.Now()
	const most = 5
	var faults []string
	err = t.query(func(r row) bool {
		faults = append(faults, r.ColumnText(0))
		return true
	}, fmt.Sprintf("PRAGMA integrity_check(%d)", most))
	took := fmt.Sprintf("read in %v", time.Since(began).Round(time.Millisecond))
	switch {
	case err != nil:
		c.failed("integrity", took, err)
	case len(faults) != 1 || faults[0] != "ok":
		c.add("integrity", took, "the file is damaged: "+strings.Join(faults, ", "), putBackup)
	default:
		c.add("integrity", took+", every page is well", "", "")
	}
	if _, err = t.exec("BEGIN IMMEDIATE"); err == nil {
		_, err = t.exec("ROLLBACK")
	}
	if err != nil {
		c.failed("write", "", err)
	}
}
