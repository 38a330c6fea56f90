package sqlite

import (
	"errors"
	"testing"

	"example.com/orderflow/ports"
)

func TestCheckFileSystem(t *testing.T) {
	f := file{path: "/mnt/orderflow.db"}
	for _, tt := range []struct {
		name            string
		kind            uint32
		refused, warned bool
	}{
		{"ext4", 0xef53, false, false},
		{"XFS", 0x58465342, false, false},
		{"tmpfs", 0x01021994, false, false},
		{"unknown", 0, false, false},
		{"NFS", 0x6969, true, false},
		{"CIFS", 0xff534d42, true, false},
		{"SMB2", 0xfe534d42, true, false},
		{"FUSE", 0x65735546, false, true},
		{"9P", 0x01021997, false, true},
	} {
		warning, err := f.checkFileSystem(tt.kind)
		if refused := errors.Is(err, ports.ErrRefused) && errors.Is(err, ports.ErrUnavailable); refused != tt.refused || (warning != "") != tt.warned || !refused && err != nil {
			t.Errorf("%s: warning %q, error %v", tt.name, warning, err)
		}
		if err != nil {
			checkUnavailable(t, err, f.path, "give a path on a local disk")
		}
	}
	if kind := kindOf(t.TempDir()); fileSystems[kind].remote {
		t.Errorf("the folder of tests is on %s", fileSystems[kind].name)
	}
}
