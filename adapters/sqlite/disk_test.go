package sqlite

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// disk is SQLite's file system on the real one. It fails on demand, and knows what would
// be left of the files after a power loss.
type disk struct {
	vfs.VFS

	mu    sync.Mutex
	files map[string]*diskFile // by their names, without the folder
	fail  func(op, name string) error
}

// diskFile is what the disk has of a file, and what the system still keeps in memory.
type diskFile struct {
	synced  []byte
	pending []change
}

// change writes data at an offset, or truncates the file there if data is nil.
type change struct {
	data []byte
	at   int64
}

var disks atomic.Int64

// newDisk returns a disk and the name by which options select it.
func newDisk(t testing.TB) (*disk, string) {
	d := &disk{VFS: vfs.Find(""), files: make(map[string]*diskFile)}
	name := fmt.Sprint("disk", disks.Add(1))
	vfs.Register(name, d)
	t.Cleanup(func() { vfs.Unregister(name) })
	return d, name
}

// failWith lets operations fail: "write", "sync" and so on of a file's suffix, such as
// "-wal". nil ends the failures.
func (d *disk) failWith(fail func(op, suffix string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

// do runs an operation, unless it has to fail.
func (d *disk) do(op, path string, f func(*diskFile) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := filepath.Base(path)
	if d.files[name] == nil {
		d.files[name] = &diskFile{}
	}
	file := d.files[name]
	if d.fail != nil {
		_, suffix, _ := strings.Cut(name, ".db")
		if err := d.fail(op, suffix); err != nil {
			if op == "sync" {
				file.pending = nil // as Linux does: a later sync does not write them
			}
			return err
		}
	}
	return f(file)
}

func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	var file vfs.File
	err := d.do("open", name.String(), func(*diskFile) (err error) {
		file, flags, err = vfsutil.WrapOpenFilename(d.VFS, name, flags)
		return err
	})
	if err != nil {
		return nil, flags, err
	}
	return &openFile{File: file, disk: d, path: name.String()}, flags, nil
}

func (d *disk) Delete(path string, syncDir bool) error {
	return d.do("delete", path, func(*diskFile) error {
		delete(d.files, filepath.Base(path))
		return d.VFS.Delete(path, syncDir)
	})
}

type openFile struct {
	vfs.File
	disk *disk
	path string
}

func (f *openFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

func (f *openFile) ReadAt(p []byte, at int64) (n int, err error) {
	err = f.disk.do("read", f.path, func(*diskFile) error {
		n, err = f.File.ReadAt(p, at)
		return err
	})
	return n, err
}

func (f *openFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.disk.do("write", f.path, func(file *diskFile) error {
		file.pending = append(file.pending, change{append([]byte{}, p...), at})
		n, err = f.File.WriteAt(p, at)
		return err
	})
	return n, err
}

func (f *openFile) Truncate(size int64) error {
	return f.disk.do("truncate", f.path, func(file *diskFile) error {
		file.pending = append(file.pending, change{nil, size})
		return f.File.Truncate(size)
	})
}

// Sync does not wait for the real disk.
func (f *openFile) Sync(vfs.SyncFlag) error {
	return f.disk.do("sync", f.path, func(file *diskFile) error {
		for _, c := range file.pending {
			file.synced = c.apply(file.synced)
		}
		file.pending = nil
		return nil
	})
}

func (c change) apply(image []byte) []byte {
	end := c.at + int64(len(c.data))
	if c.data == nil {
		if c.at <= int64(len(image)) {
			return image[:c.at]
		}
	}
	if grow := end - int64(len(image)); grow > 0 {
		image = append(image, make([]byte, grow)...)
	}
	copy(image[c.at:], c.data)
	return image
}

// losePower writes what a power loss leaves of the files into the folder: what was
// synced, and of the later changes any, whole or in part.
func (d *disk) losePower(folder string, random *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, file := range d.files {
		if strings.HasSuffix(name, "-shm") {
			continue
		}
		image := slices.Clone(file.synced)
		kept := random.Float64() // of the changes
		for _, c := range file.pending {
			if random.Float64() > kept {
				continue
			}
			if random.IntN(4) == 0 && len(c.data) > 0 { // torn
				const sector = 512
				n := random.IntN(len(c.data)/sector+1) * sector
				if random.IntN(2) == 0 {
					c.data = c.data[:n]
				} else {
					c.data, c.at = c.data[n:], c.at+int64(n)
				}
				if len(c.data) == 0 {
					continue
				}
			}
			image = c.apply(image)
		}
		if err := os.WriteFile(filepath.Join(folder, name), image, 0o600); err != nil {
			return err
		}
	}
	return nil
}
