package ports

// Finding is what a check before a start has found about one thing that a service needs.
// It has no secrets.
type Finding struct {
	What   string // the thing, such as "write concern"
	Value  string // as it was found; may be empty
	Fault  string // what is wrong; empty: nothing
	WayOut string // what a person can do about the fault
}
