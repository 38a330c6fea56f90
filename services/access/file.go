package access

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"example.com/orderflow/services/internal/files"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/wiring"
)

// checkInterval is how often the file is looked at, at most.
const checkInterval = time.Second

// TokensFile has the tokens of a file, which it reads again when the file changes. A file
// that can't be used changes nothing: the tokens before it stay. A file without a token lets
// nobody in.
type TokensFile struct {
	path  string
	log   *slog.Logger
	state statelog.State

	mu      sync.Mutex
	checked time.Time
	read    os.FileInfo // of the file that was read
	tokens  map[hash]Token
}

// OpenTokens reads the file. Its error is for the operator who starts the service. A file
// without a token is an error, since nobody could come in.
func OpenTokens(path string, log *slog.Logger) (*TokensFile, error) {
	f := &TokensFile{path: path, log: wiring.Logger(log)}
	err := f.load()
	if err == nil && len(f.tokens) == 0 {
		err = errors.New("it has no token")
	}
	if err != nil {
		return nil, err
	}
	f.checked = time.Now()
	return f, nil
}

// find returns the token with that hash. The time of a lookup says something about hashes,
// but not about tokens, which have 256 random bits.
func (f *TokensFile) find(sum hash) (Token, bool) {
	if f == nil {
		return Token{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.checked) >= checkInterval {
		f.checked = time.Now()
		f.refresh()
	}
	t, ok := f.tokens[sum]
	return t, ok
}

func (f *TokensFile) refresh() {
	ctx := context.Background()
	info, err := os.Stat(f.path)
	if err == nil && os.SameFile(info, f.read) && info.ModTime().Equal(f.read.ModTime()) && info.Size() == f.read.Size() {
		f.state.Up(ctx, f.log, "the file of tokens can be used again")
		return
	}
	if err == nil {
		err = f.load()
	}
	if err != nil {
		f.state.Down(ctx, f.log, "the new file of tokens can't be used; the tokens before it stay", err, "file", f.path)
		return
	}
	if len(f.tokens) == 0 {
		f.log.WarnContext(ctx, "the file of tokens has none any more: nobody can come in by one", "file", f.path)
	}
	f.log.InfoContext(ctx, "the file of tokens was read again", "file", f.path, "tokens", len(f.tokens))
	f.state.Up(ctx, f.log, "the file of tokens can be used again")
}

// load reads the file.
func (f *TokensFile) load() error {
	file, err := files.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	list, err := ParseTokens(file)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		f.log.Warn("others may write the file of tokens, and so give themselves access; take the right from them (chmod go-w)",
			"file", f.path, "mode", info.Mode().Perm())
	}
	tokens := make(map[hash]Token, len(list))
	for _, t := range list {
		tokens[t.hash] = t
	}
	f.tokens, f.read = tokens, info
	return nil
}
