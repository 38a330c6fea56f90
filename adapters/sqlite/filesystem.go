package sqlite

import "fmt"

// fileSystem is a kind of file system on which SQLite's locks and shared memory don't
// work, or may not.
type fileSystem struct {
	name   string
	remote bool // other machines may write, too
}

// fileSystems are the kinds by the number that Linux gives them.
var fileSystems = map[uint32]fileSystem{
	0x00006969: {"NFS", true},
	0x0000517b: {"SMB", true},
	0xff534d42: {"CIFS", true},
	0xfe534d42: {"SMB2", true},
	0x0000564c: {"NCP", true},
	0x5346414f: {"AFS", true},
	0x6b414653: {"AFS", true},
	0x73757245: {"Coda", true},
	0x00c36400: {"Ceph", true},
	0x0bd00bd0: {"Lustre", true},
	0x01161970: {"GFS2", true},
	0x7461636f: {"OCFS2", true},
	0x01021997: {"9P", false},   // also of virtual machines
	0x65735546: {"FUSE", false}, // also local ones
	0x786f4256: {"VirtualBox", false},
	0xbacbacbc: {"VMware", false},
}

// checkFileSystem refuses a remote file system. It returns a warning for one that may be
// remote.
func (f *file) checkFileSystem(kind uint32) (warning string, err error) {
	system, ok := fileSystems[kind]
	switch {
	case !ok:
		return "", nil
	case system.remote:
		return "", f.refuse("it is on a network file system (%s), where SQLite's locks don't work; give a path on a local disk", system.name)
	}
	return fmt.Sprintf("the file is on a file system (%s) that may be remote; SQLite's locks work on a local disk only", system.name), nil
}
