package sqlite

// overwriting calls f. Where f deletes or replaces something, zeros take its place in the
// file, so that personal data does not stay in unused pages. The log keeps older pages
// until it is used anew, or the last process closes the file.
func (t *tx) overwriting(f func() error) error {
	// Not prepared statements: this pragma works when it is compiled.
	if err := t.conn.Exec("PRAGMA secure_delete = ON"); err != nil {
		return t.file.classify(err)
	}
	defer func() { _ = t.conn.Exec("PRAGMA secure_delete = OFF") }()
	return f()
}
