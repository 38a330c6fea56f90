package yamlfile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type settings struct {
	Name   string
	On     bool
	Count  int
	Ratio  float64
	Delay  time.Duration
	Inner  map[string]string
	Things []string
}

func read(t *testing.T, text string) (settings, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, root, err := Read(path)
	if err != nil {
		return settings{}, err
	}
	at := root.Mapping("name", "on", "count", "ratio", "delay", "inner", "things")
	inner := at["inner"].Mapping("a", "b")
	s := settings{
		Name: at["name"].Text(), On: at["on"].Bool(), Count: at["count"].Int(1, 65535), Ratio: at["ratio"].Number(0, 1.5),
		Delay: at["delay"].Duration(time.Second, 30*day), Inner: map[string]string{"a": inner["a"].Text(), "b": inner["b"].Text()},
	}
	at["things"].Each(func(n Node) { s.Things = append(s.Things, n.Text()) })
	return s, file.Err()
}

func TestRead(t *testing.T) {
	got, err := read(t, `# a comment
name: "x: y" # another
on: true
count: 20
ratio: 1
delay: 3d
inner: {a: b, b: 'c'}
things:
- one
- "2"
- three #x
`)
	want := settings{"x: y", true, 20, 1, 3 * day, map[string]string{"a": "b", "b": "c"}, []string{"one", "2", "three"}}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadIgnoresByteOrderMark(t *testing.T) {
	if got, err := read(t, "\ufeffname: x\r\non: true\r\n"); err != nil || got.Name != "x" || !got.On {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := read(t, "\ufeff\ufeffname: x\n"); err == nil {
		t.Error("a second mark is accepted")
	}
}

// Every fault of a file is reported, with its line.
func TestFaults(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatal(inputs, err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			text, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			_, fault := read(t, string(text))
			got := fmt.Sprintln(fault)
			golden := strings.TrimSuffix(input, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got; -update rewrites the golden file):\n%s", diff)
			}
		})
	}
}

// What would cost the parser much is refused before it is parsed.
func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"large":            "name: " + strings.Repeat("x", maxSize),
		"nested brackets":  "things: " + strings.Repeat("[", maxSize-100),
		"nested mappings":  "inner: " + strings.Repeat("{a: ", maxSize/5),
		"nested lists":     strings.Repeat("- ", maxSize/2-10),
		"invalid UTF-8":    "name: \xff",
		"control":          "name: a\x1b[2Jb",
		"escaped control":  `name: "a\u001b[2Jb"`,
		"escaped newline":  `name: "a\nb"`,
		"empty":            "",
		"only a comment":   "# nothing\n",
		"NUL":              "name: \x00",
		"list at the root": "- name: x\n",
		"many keys":        strings.Repeat("a:\n", maxSize/3),
		"carriage returns": strings.Repeat("a:\r", maxSize/3),
		"many empty lines": "name: |\n" + strings.Repeat("\n", maxSize-10),
		"as many lines":    "name: |\n" + strings.Repeat("\n", maxLines-1),
	} {
		begun := time.Now()
		_, err := read(t, text)
		if err == nil || len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x00\x1b") || !utf8.ValidString(err.Error()) {
			t.Errorf("%s: %.600v", name, err)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("%s: refused after %v", name, took)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("name: x\nthings: [a, {b: c}]\n")
	f.Add("? a\n: b\n--- |\n x")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := read(t, text); err != nil && strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %q", text, err)
		}
	})
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90d": 90 * day, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "0d": 0, "0s": 0, "1.5h": 90 * time.Minute,
		"": -1, "d": -1, "-1d": -1, "1.5d": -1, "5": -1, "9999999d": -1, "1d2h": -1,
	} {
		got, err := ParseDuration(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if err == nil {
			if again, err := ParseDuration(FormatDuration(got)); err != nil || again != got {
				t.Errorf("%v is formatted as %s", got, FormatDuration(got))
			}
		}
	}
}
