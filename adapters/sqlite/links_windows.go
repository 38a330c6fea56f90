package sqlite

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// linksTo returns how many names the open file has, 0 if it is unknown.
func linksTo(f *os.File) uint64 {
	var info windows.ByHandleFileInformation
	if windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info) != nil {
		return 0
	}
	return uint64(info.NumberOfLinks)
}

func linksIn(fs.FileInfo) uint64 { return 0 }
