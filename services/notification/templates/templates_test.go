package templates_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/notification/templates"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var _ notification.Renderer = (*templates.Set)(nil)

func builtin(t testing.TB) *templates.Set {
	t.Helper()
	set, err := templates.New(nil, "en")
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestBuiltinTemplates(t *testing.T) {
	hostile, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "<ann>", `<script>alert("1")</script> & 'Größe' {{.Test}}`, 3, time.Date(2026, 3, 1, 9, 5, 0, 0, time.FixedZone("", 3600)))
	if err != nil {
		t.Fatal(err)
	}
	set := builtin(t)
	for _, language := range []string{"en", "de"} {
		for _, test := range []struct {
			name  string
			event domain.Event
			test  bool
		}{{"sample", templates.Sample(), false}, {"test", templates.Sample(), true}, {"hostile", hostile.Created(), false}} {
			t.Run(language+" "+test.name, func(t *testing.T) {
				content, err := set.Render(test.event, language, test.test)
				if err != nil {
					t.Fatal(err)
				}
				if content.Language != language {
					t.Errorf("got language %s", content.Language)
				}
				checkGolden(t, language+"."+test.name+".txt", "Subject: "+content.Subject+"\n\n"+content.Text+"\n")
				checkGolden(t, language+"."+test.name+".html", content.HTML+"\n")
			})
		}
	}
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestRenderFindsTheNearestLanguage(t *testing.T) {
	folder := good()
	for _, tag := range []string{"pt-BR", "de"} {
		for name, file := range good() {
			folder[strings.Replace(name, ".en.", "."+tag+".", 1)] = file
		}
	}
	set, err := templates.New(folder, "en")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"de", "en", "pt-br"}, set.Languages()); diff != "" {
		t.Errorf("languages (-want +got):\n%s", diff)
	}
	for tag, want := range map[string]string{
		"": "en", "en": "en", "EN-us": "en", "de": "de", "de-AT": "de", "de_CH": "de", "de-Latn-DE-1996": "de", "DE": "de",
		"pt-br": "pt-BR", "pt": "en", "fr": "en", "d": "en", "deu": "en", "-": "en", "de-": "de", strings.Repeat("x-", 1000): "en",
	} {
		content, err := set.Render(templates.Sample(), tag, false)
		if err != nil || content.Language != want {
			t.Errorf("%q: got language %q and error %v, want %q", tag, content.Language, err, want)
		}
	}
}

func TestRenderRefusesEventOfUnknownType(t *testing.T) {
	event := templates.Sample()
	event.Type = "order.eaten"
	if _, err := builtin(t).Render(event, "en", false); err == nil || !strings.Contains(err.Error(), "order.eaten") {
		t.Errorf("got %v, want an error that names the type", err)
	}
}

func TestRenderMakesSubjectOfOneLine(t *testing.T) {
	order, err := domain.KnownOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "1", "a\u2028b  c", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	content, err := builtin(t).Render(order.Created(), "en", false)
	if want := "Your order: 1 × a b c"; err != nil || content.Subject != want {
		t.Errorf("got %q and error %v, want %q", content.Subject, err, want)
	}
}

func TestRenderFromSeveralGoroutines(t *testing.T) {
	set := builtin(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := set.Render(templates.Sample(), []string{"en", "de"}[i%2], false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// good returns a folder without faults.
func good() fstest.MapFS {
	return fstest.MapFS{
		"order.created.en.subject.txt": file("Order {{.Order.ID}}\n"),
		"order.created.en.txt":         file("{{.Order.Quantity}} {{.Order.Product}} for {{.Order.UserID}}, {{.Event.Type}} {{.Event.ID}} {{.Event.Time}} {{.Language}} {{.Test}}\n"),
		"order.created.en.html":        file("<p>{{.Order.Product}}</p>\n"),
	}
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestNewReadsFolder(t *testing.T) {
	folder := good()
	folder["order.created.en.html"] = file(" \n")
	folder["order.created.en.txt"] = file("\uFEFFHello\r\n")
	folder[".order.created.fr.txt"] = file("{{")
	folder["README.md"] = file("{{")
	folder["old/order.created.fr.txt"] = file("{{")
	set, err := templates.New(folder, "EN")
	if err != nil {
		t.Fatal(err)
	}
	got, err := set.Render(templates.Sample(), "de", false)
	want := ports.Content{Language: "en", Subject: "Order " + string(templates.Sample().Order.ID), Text: "Hello"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestNewReturnsEveryFault(t *testing.T) {
	for _, test := range []struct {
		name     string
		change   func(folder fstest.MapFS)
		fallback string
		want     []string // the error's lines after the first words
	}{
		{"no files", func(f fstest.MapFS) { clear(f) }, "en", []string{"the folder has no templates; it needs files like order.created.en.txt"}},
		{"default language", func(fstest.MapFS) {}, "fr", []string{`the default language "fr" has no templates; there are some in en`}},
		{"missing files", func(f fstest.MapFS) {
			delete(f, "order.created.en.subject.txt")
			delete(f, "order.created.en.html")
			f["order.created.de-AT.txt"] = file("x")
		}, "en", []string{
			"order.created.de-AT.html:1: the file is missing",
			"order.created.de-AT.subject.txt:1: the file is missing",
			"order.created.en.html:1: the file is missing",
			"order.created.en.subject.txt:1: the file is missing",
		}},
		{"unknown names", func(f fstest.MapFS) {
			f["order.created.txt"] = file("x")
			f["order.eaten.en.txt"] = file("x")
			f["order.created.en.body.html"] = file("x")
		}, "en", []string{
			"order.created.en.body.html:1: unknown name; the names are like order.created.en.subject.txt, order.created.en.txt and order.created.en.html",
			"order.created.txt:1: unknown name; the names are like order.created.en.subject.txt, order.created.en.txt and order.created.en.html",
			"order.eaten.en.txt:1: unknown name; the names are like order.created.en.subject.txt, order.created.en.txt and order.created.en.html",
		}},
		{"unreadable files", func(f fstest.MapFS) {
			f["order.created.en.txt"] = file(strings.Repeat("x", 64<<10+1))
			f["order.created.en.html"] = file("\xff")
			f["order.created.en.subject.txt"] = &fstest.MapFile{Mode: fs.ModeDir}
		}, "en", []string{
			"order.created.en.html:1: the file is not valid UTF-8",
			"order.created.en.subject.txt:1: invalid argument",
			"order.created.en.txt:1: the file has more than 65536 bytes",
		}},
		{"syntax", func(f fstest.MapFS) {
			f["order.created.en.txt"] = file("Hello\n{{if .Test}}")
			f["order.created.en.html"] = file("<p>\n\n{{nosuch .Test}}")
			f["order.created.en.subject.txt"] = file("{{.Order.ID")
		}, "en", []string{
			`order.created.en.html:3: function "nosuch" not defined`,
			"order.created.en.subject.txt:1: unclosed action",
			"order.created.en.txt:2: unexpected EOF",
		}},
		{"fields", func(f fstest.MapFS) {
			f["order.created.en.txt"] = file("Hello\n{{.Order.Price}}")
			f["order.created.en.html"] = file("<p>{{if .Test}}\n{{.Name}}{{end}}</p>")
			f["order.created.en.subject.txt"] = file("{{.Order.ID.Foo}}")
		}, "en", []string{
			"order.created.en.html:2: there is no field .Name; Data has Order, Event, Language, Test",
			"order.created.en.subject.txt:1: there is no field .Order.ID.Foo; a string has no fields",
			"order.created.en.txt:2: there is no field .Order.Price; Order has ID, UserID, Product, Quantity, CreatedAt",
		}},
		{"fields in a branch that no sample takes", func(f fstest.MapFS) {
			f["order.created.en.txt"] = file("Hello\n{{if eq .Order.Product \"Tea\"}}{{.Order.Price}}{{else if .Name}}{{end}}{{with .Order}}\n{{$.Order.Foo.Bar}}{{end}}")
		}, "en", []string{
			"order.created.en.txt:2: there is no field .Name; Data has Order, Event, Language, Test",
			"order.created.en.txt:2: there is no field .Order.Price; Order has ID, UserID, Product, Quantity, CreatedAt",
			"order.created.en.txt:3: there is no field $.Order.Foo.Bar; Order has ID, UserID, Product, Quantity, CreatedAt",
		}},
		{"a field of something else than the data", func(f fstest.MapFS) {
			f["order.created.en.txt"] = file("x{{with .Order}}\n{{.Price}}{{end}}")
		}, "en", []string{
			"order.created.en.txt:2:2: executing \"order.created.en.txt\" at <.Price>: can't evaluate field Price in type templates.Order (with an order)",
		}},
		{"results", func(f fstest.MapFS) {
			f["order.created.en.txt"] = file("{{if .Test}}test{{end}}")
			f["order.created.en.html"] = file(`{{range 300}}{{printf "%1000d" 1}}{{end}}`)
			f["order.created.en.subject.txt"] = file("Order\n{{.Order.ID}}\n")
		}, "en", []string{
			"order.created.en.html:1: the result has more than 262144 bytes (with an order)",
			`order.created.en.subject.txt:2: the subject has more than one line, such as "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"`,
			"order.created.en.txt:1: the result is empty (with an order)",
		}},
		{"an order without a visible character", func(f fstest.MapFS) {
			f["order.created.en.subject.txt"] = file("{{.Order.UserID}}")
		}, "en", []string{"order.created.en.subject.txt:1: the result is empty (with an order without a visible character)"}},
		{"endless", func(f fstest.MapFS) {
			f["order.created.en.txt"] = file(`{{define "x"}}x{{template "x" .}}{{end}}{{template "x" .}}`)
		}, "en", []string{"order.created.en.txt:1:26: executing \"x\" at <{{template \"x\" .}}>: exceeded maximum template depth (100000) (with an order)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := good()
			test.change(folder)
			_, err := templates.New(folder, test.fallback)
			want := "read templates: " + strings.Join(test.want, "\n")
			if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewNamesFileThatHTMLCannotEscape(t *testing.T) {
	folder := good()
	folder["order.created.en.html"] = file("<p>\n<a href='{{if .Test}}\"{{end}}>")
	_, err := templates.New(folder, "en")
	if err == nil || !strings.HasPrefix(err.Error(), "read templates: order.created.en.html:1: ") {
		t.Errorf("got %v, want an error that begins with the file and the line", err)
	}
}
