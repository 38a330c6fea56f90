package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/orderflow/services/access"
)

// No token is lost when several are added at once.
func TestAddTokensAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	add := func(name string) error {
		token, _, err := access.NewToken(name, access.Viewer)
		if err != nil {
			return err
		}
		for {
			if err = addToken(path, token); err == nil || !strings.Contains(err.Error(), "another token is being added") {
				return err
			}
		}
	}
	const writers, each = 8, 5
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := add(fmt.Sprintf("writer-%d-%d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if tokens, err := access.ParseTokens(file); err != nil || len(tokens) != writers*each {
		t.Errorf("the file has %d tokens of %d, %v", len(tokens), writers*each, err)
	}
}
