package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"example.com/orderflow/services/access"
	"example.com/orderflow/services/internal/files"
)

// tokenCommands make and list the tokens of the admin address.
type tokenCommands struct {
	New  newToken   `cmd:"" help:"Make a token, print it once, and add it to the file of --admin-tokens-file; remove its line there to end it."`
	List listTokens `cmd:"" help:"List the names and roles of --admin-tokens-file."`
}

type newToken struct {
	Name string      `arg:"" help:"Of the person or program; it is the author of what they do."`
	Role access.Role `required:"" enum:"viewer,operator" help:"${enum}: viewers may look only, operators may also change things."`
}

// Run prints the token alone to stdout. Without a file, it prints the line for it to stderr.
func (n *newToken) Run(common *Common, s Streams) error {
	token, secret, err := access.NewToken(n.Name, n.Role)
	if err != nil {
		return usageError{err}
	}
	advice := fmt.Sprintf("Add this line to the file of --admin-tokens-file, and keep the token: nothing shows it again.\n%s\n", token)
	if path := common.AdminTokensFile; path != "" {
		if err := addToken(path, token); err != nil {
			return fmt.Errorf("--admin-tokens-file: %q: %w", path, err)
		}
		advice = fmt.Sprintf("%s is in %s as %s. Keep the token: nothing shows it again.\n", token.Name, Printable(path), token.Role)
	}
	if _, err := fmt.Fprintln(s.Out, secret); err != nil {
		return fmt.Errorf("print the token: %w; remove the line of %s from the file", err, token.Name)
	}
	fmt.Fprint(s.Err, advice)
	return nil
}

// addToken adds the token to the file, or makes the file. Services and other commands see
// the file before or after it. The file keeps its owner and mode; a new one has 0600.
func addToken(path string, token access.Token) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	next, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // before the file is read: two that add tokens would lose one
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another token is being added; if none is, remove %s", path+".new")
	}
	if err != nil {
		return withoutPath(err)
	}
	defer func() {
		_ = next.Close() // fails if it is closed
		if err != nil {
			_ = os.Remove(next.Name())
		}
	}()
	text, info, err := readTokens(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	text += token.String() + "\n"
	if _, err := access.ParseTokens(strings.NewReader(text)); err != nil {
		return fmt.Errorf("nothing was added: %w", err)
	}
	if _, err := next.WriteString(text); err != nil {
		return err
	}
	if info != nil {
		if err := errors.Join(keepOwner(next, info), next.Chmod(info.Mode().Perm())); err != nil {
			return err
		}
	}
	if err := errors.Join(next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), path)
}

// readTokens returns the text of the file of tokens.
func readTokens(path string) (text string, info fs.FileInfo, err error) {
	file, err := files.Open(path)
	if err != nil {
		return "", nil, withoutPath(err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return "", nil, withoutPath(err)
	}
	const most = 1 << 20
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && len(data) > most {
		err = errors.New("it is not a file of tokens")
	}
	return string(data), info, withoutPath(err)
}

type listTokens struct{}

// Run lists the tokens of the file.
func (listTokens) Run(common *Common, s Streams) error {
	path := common.AdminTokensFile
	if path == "" {
		return UsageErrorf("--admin-tokens-file: give the file")
	}
	text, _, err := readTokens(path)
	if err != nil {
		return fmt.Errorf("--admin-tokens-file: %q: %w; make a token by the command token new", path, err)
	}
	tokens, err := access.ParseTokens(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("--admin-tokens-file: %q: %w", path, err)
	}
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tROLE")
	for _, t := range tokens {
		fmt.Fprintf(table, "%s\t%s\n", Printable(t.Name), t.Role)
	}
	return table.Flush()
}
