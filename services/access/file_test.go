package access

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/services/internal/logtest"
)

func (p *people) sum(name string) hash { return sha256.Sum256([]byte(p.secrets[name])) }

func (p *people) isIn(f *TokensFile, name string) bool {
	token, ok := f.find(p.sum(name))
	return ok && token.Name == name
}

// A file that changes is read again, within a second. One that can't be used changes nothing.
func TestFileIsReadAgain(t *testing.T) {
	p := newPeople(t)
	both := p.lines["vic"] + "\n" + p.lines["opal"] + "\n"
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Buffer
		f := p.open(t, log.Logger())
		check := func(after string, vic, opal bool) {
			t.Helper()
			time.Sleep(checkInterval)
			if p.isIn(f, "vic") != vic || p.isIn(f, "opal") != opal {
				t.Errorf("after %s: vic %v, opal %v, want %v, %v\n%s", after, p.isIn(f, "vic"), p.isIn(f, "opal"), vic, opal, log.String())
			}
		}
		check("the start", true, true)
		p.write(t, p.lines["vic"])
		if !p.isIn(f, "opal") {
			t.Error("the file is looked at for each request")
		}
		check("a token was removed", true, false)
		p.write(t, both)
		check("it is back", true, true)

		for what, text := range map[string]string{"half of a line": both[:len(both)-10], "an unknown role": "vic admin " + someHash, "text": "password"} {
			log.Reset()
			p.write(t, text)
			time.Sleep(time.Minute) // so that it is logged again
			check(what, true, true)
			if lines := log.String(); !strings.Contains(lines, "level=WARN") || !strings.Contains(lines, "the tokens before it stay") || strings.Count(lines, "\n") > 3 {
				t.Errorf("after %s the log has %s", what, lines)
			}
			p.write(t, p.lines["vic"])
			check(what+" was mended", true, false)
			p.write(t, both)
			check("both are back", true, true)
		}
		log.Reset()
		if err := os.Remove(p.path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		check("the file was removed", true, true)
		if err := os.Mkdir(p.path, 0o700); err != nil {
			t.Fatal(err)
		}
		check("a folder is there", true, true)
		if err := os.Remove(p.path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(p.path, 0o600); err != nil {
			t.Fatal(err)
		}
		check("a pipe without a writer is there", true, true)
		if err := os.Remove(p.path); err != nil {
			t.Fatal(err)
		}
		p.write(t, both)
		check("the file is back", true, true)
		if !strings.Contains(log.String(), "can be used again") {
			t.Errorf("the log has %s", log.String())
		}
		p.write(t, "# nobody\n")
		check("all tokens were removed", false, false)
		if !strings.Contains(log.String(), "nobody can come in by one") {
			t.Errorf("the log has %s", log.String())
		}
	})
}

func TestOpenTokens(t *testing.T) {
	p := newPeople(t)
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty")
	if err := os.WriteFile(empty, []byte("# nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(folder, "none"): "no such file", folder: "not a regular file", empty: "it has no token"} {
		if _, err := OpenTokens(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o644: false, 0o660: true, 0o602: true} {
		if err := os.Chmod(p.path, mode); err != nil {
			t.Fatal(err)
		}
		var log logtest.Buffer
		p.open(t, log.Logger())
		if strings.Contains(log.String(), "others may write") != warns {
			t.Errorf("mode %o: the log has %q", mode, log.String())
		}
	}
}
