package sqlite

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		url         string
		path        string
		synchronous string
		cacheSize   int
	}{
		{"sqlite:orderflow.db", "orderflow.db", "FULL", -2000},
		{"sqlite:data/orderflow.db", "data/orderflow.db", "FULL", -2000},
		{"sqlite:../a b.db", "../a b.db", "FULL", -2000},
		{"sqlite:/var/lib/orderflow.db", "/var/lib/orderflow.db", "FULL", -2000},
		{"sqlite:///var/lib/orderflow.db", "/var/lib/orderflow.db", "FULL", -2000},
		{"sqlite:100%25%3f%23.db", "100%?#.db", "FULL", -2000},
		{"sqlite:a+b&c=d#e.db", "a+b&c=d#e.db", "FULL", -2000},
		{"sqlite:Bücher.db", "Bücher.db", "FULL", -2000},
		{"sqlite:x.db?", "x.db", "FULL", -2000},
		{"sqlite:x.db?synchronous=full", "x.db", "FULL", -2000},
		{"sqlite:x.db?synchronous=EXTRA&cache_size=-65536", "x.db", "EXTRA", -65536},
		{"sqlite:x.db?cache_size=1", "x.db", "FULL", 1},
		{"sqlite:x.db?cache_size=262144", "x.db", "FULL", 262144},
		{"sqlite:x.db?cache_size=-1048576", "x.db", "FULL", -1048576},
	} {
		want := []any{tt.path, tt.synchronous, tt.cacheSize}
		f, err := parseURL(tt.url)
		if diff := cmp.Diff(want, []any{f.path, f.synchronous, f.cacheSize}); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", tt.url, err, diff)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"", "must begin with sqlite:"},
		{"memory:", "must begin with sqlite:"},
		{"sqlite", "must begin with sqlite:"},
		{"sqlite:", "has no path"},
		{"sqlite://", "has no path"},
		{"sqlite:?synchronous=full", "has no path"},
		{"sqlite:/", "is a folder"},
		{"sqlite:///", "is a folder"},
		{"sqlite:data/", "is a folder"},
		{"sqlite:data%2f", "is a folder"},
		{"sqlite::memory:", "memory:"},
		{"sqlite:%3amemory:", "memory:"},
		{"sqlite://localhost/data/x.db", `"localhost" would be a server`},
		{"sqlite://x.db", `"x.db" would be a server`},
		{"sqlite:a%00b", "zero byte"},
		{"sqlite:100%.db", "%25"},
		{"sqlite:x.db?synchronous=normal", "would lose orders"},
		{"sqlite:x.db?synchronous=OFF", "would lose orders"},
		{"sqlite:x.db?synchronous=0", "would lose orders"},
		{"sqlite:x.db?synchronous=", "set full or extra"},
		{"sqlite:x.db?synchronous=ful", "set full or extra"},
		{"sqlite:x.db?synchronous=full&synchronous=full", "set 2 times"},
		{"sqlite:x.db?cache_size=", "cache_size="},
		{"sqlite:x.db?cache_size=0", "cache_size=0 must be"},
		{"sqlite:x.db?cache_size=1e3", "cache_size=1e3 must be"},
		{"sqlite:x.db?cache_size=262145", "cache_size=262145 must be"},
		{"sqlite:x.db?cache_size=-1048577", "cache_size=-1048577 must be"},
		{"sqlite:x.db?cache_size=99999999999999999999", "must be"},
		{"sqlite:x.db?_pragma=synchronous(off)", "option _pragma does not exist"},
		{"sqlite:x.db?vfs=memdb", "option vfs does not exist"},
		{"sqlite:x.db?Synchronous=full", "option Synchronous does not exist"},
		{"sqlite:x.db?a;b", "semicolon"},
	} {
		f, err := parseURL(tt.url)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, error %v, want a line with %q", tt.url, f, err, tt.want)
		}
	}
}

// Every path can be written as a URL, and no URL sets what would break a promise.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"x.db", "/a/b.db", "a?synchronous=off", "100%", "//host/x", ":memory:", "a\x00b", "x.db?cache_size=-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseURL("sqlite:" + text); err == nil {
			if got.path == "" || got.path == ":memory:" || strings.ContainsRune(got.path, 0) || got.cacheSize == 0 ||
				got.synchronous != "FULL" && got.synchronous != "EXTRA" {
				t.Errorf("%q: %+v", text, got)
			}
		}
		if text == "" || text == ":memory:" || strings.ContainsRune(text, 0) || strings.HasSuffix(text, "/") {
			return
		}
		got, err := parseURL("sqlite:" + url.PathEscape(text))
		if err != nil || got.path != text {
			t.Errorf("%q, escaped: %+v, error %v", text, got, err)
		}
	})
}

func TestPath(t *testing.T) {
	folder := t.TempDir()
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	t.Chdir(folder)
	if err := os.Mkdir("real", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", "link"); err != nil {
		t.Skip(err)
	}
	want := filepath.Join(folder, "real", "x.db")
	urls := []string{"sqlite:real/x.db", "sqlite:link/x.db", "sqlite:./link/../link/x.db?synchronous=extra", "sqlite://" + folder + "/link/x.db"}
	for range 2 { // without and with the file
		for _, url := range urls {
			if got, err := Path(url); err != nil || got != want {
				t.Errorf("%s: got %s, error %v, want %s", url, got, err, want)
			}
		}
		if err := os.WriteFile(want, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(want, "y.db"); err == nil {
			urls = append(urls, "sqlite:y.db")
		}
	}
	if got, err := Path("sqlite:none/x.db"); err != nil || got != filepath.Join(folder, "none", "x.db") {
		t.Errorf("in a folder that does not exist: got %s, error %v", got, err)
	}
	if _, err := Path("memory:"); err == nil {
		t.Error("another scheme: no error")
	}
}
