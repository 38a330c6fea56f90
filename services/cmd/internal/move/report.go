package move

// Report accounts for the records of the file.
type Report struct {
	Lines    []*Line
	SetAside int      // messages of queues that became dead letters of the file before
	Left     []string // why dead letters stayed in a queue of the file
}

// Line accounts for one kind of records.
type Line struct {
	Kind       string // in the plural
	InFile     int
	Copied     int // in this run
	Same       int // at the target
	Newer      int // at the target, where they have changed since
	Missing    int
	Different  int
	Unreadable int      // in the file, which are not copied
	Faults     []string // names those that are different or, unless it is a dry run, missing
	More       int      // faults that are not named
}

// maxFaults bounds the faults that a line names.
const maxFaults = 1000

func (l *Line) fault(text string) {
	if len(l.Faults) == maxFaults {
		l.More++
		return
	}
	l.Faults = append(l.Faults, text)
}

func (l Line) lacking() int { return l.Missing + l.Different + l.Unreadable }

// Lacking returns how many records of the file the target does not have as they are.
func (r Report) Lacking() int {
	lacking := len(r.Left)
	for _, line := range r.Lines {
		lacking += line.lacking()
	}
	return lacking
}

// IsEven reports whether the target has every record of the file.
func (r Report) IsEven() bool { return r.Lacking() == 0 }
