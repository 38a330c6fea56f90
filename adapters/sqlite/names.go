package sqlite

import "os"

// SQLite keeps a database's log beside it, by its name. Two processes that reach one file
// by names in different folders, or by different names in one, would have two logs and
// destroy it. Symbolic links are resolved, and a mounted folder has the same log. A hard
// link and a file that is mounted alone have another.

// checkNames refuses a file that can have another name.
func (f *file) checkNames(open *os.File) error {
	if n := linksTo(open); n > 1 {
		return f.refuse("it has %d names (hard links), and a process that opens another one would destroy it; "+
			"find them with \"find FOLDER -samefile %s\", and remove all but one, or replace this one by a copy while no process uses it", n, f.path)
	}
	if isMount(f.path) {
		return f.refuse("it is mounted without its folder, so a process that opens the original would destroy it; mount its folder instead")
	}
	return nil
}
