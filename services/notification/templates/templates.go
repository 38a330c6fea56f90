package templates

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The largest results of templates, in bytes.
const (
	maxSubject = 4 << 10
	maxText    = 256 << 10
)

//go:embed builtin
var embedded embed.FS

// Builtin returns the folder of the built-in templates.
func Builtin() fs.FS {
	folder, err := fs.Sub(embedded, "builtin")
	if err != nil {
		panic(err) // the folder is a part of the program
	}
	return folder
}

// Set has the templates of all types of events, in some languages.
type Set struct {
	fallback  string
	languages map[string]map[domain.EventType]*texts // by the tag in lower case
}

// texts are the templates of one type of event in one language.
type texts struct {
	tag                 string // as the files have it
	subject, text, html executor
}

// executor is a template of either package. A nil one makes no text.
type executor interface {
	Execute(w io.Writer, data any) error
	Name() string
}

// New reads the templates of the folder, or the built-in ones if it is nil. Contacts
// of other languages get the texts in the fallback, such as "en". The error has all
// faults of the templates, one a line.
func New(folder fs.FS, fallback string) (*Set, error) {
	if folder == nil {
		folder = Builtin()
	}
	files, faults := readFolder(folder)
	s := &Set{fallback: languageKey(fallback), languages: make(map[string]map[domain.EventType]*texts)}
	for _, f := range files {
		made, wrong := f.parse()
		faults = append(faults, wrong...)
		if len(wrong) > 0 {
			continue
		}
		t := s.texts(f)
		switch f.part {
		case subjectPart:
			t.subject = made
		case textPart:
			t.text = made
		case htmlPart:
			t.html = made
		}
	}
	faults = append(faults, s.check()...)
	if len(faults) == 0 && s.languages[s.fallback] == nil {
		faults = append(faults, fmt.Errorf("the default language %.40q has no templates; there are some in %s",
			fallback, strings.Join(s.Languages(), ", ")))
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if len(faults) > 0 {
		return nil, fmt.Errorf("read templates: %w", errors.Join(faults...))
	}
	return s, nil
}

func (s *Set) texts(f file) *texts {
	language := languageKey(f.language)
	if s.languages[language] == nil {
		s.languages[language] = make(map[domain.EventType]*texts)
	}
	t := s.languages[language][f.kind]
	if t == nil {
		t = &texts{tag: f.language}
		s.languages[language][f.kind] = t
	}
	return t
}

// Languages returns the languages that have templates, in lower case, sorted.
func (s *Set) Languages() []string { return slices.Sorted(maps.Keys(s.languages)) }

// Render returns the text of the event's notification, in the language of the tag, in
// the tag's base language, such as de for de-AT, or else in the fallback.
//
// An error is returned when the event's type has no templates, or when a template
// can't be rendered with this event.
func (s *Set) Render(event domain.Event, language string, test bool) (ports.Content, error) {
	t := s.languages[s.find(language)][event.Type]
	if t == nil {
		return ports.Content{}, fmt.Errorf("render templates: the event type %.40q has none", event.Type)
	}
	content, err := t.render(event, test)
	if err != nil {
		return ports.Content{}, fmt.Errorf("render templates: event %s: %w", event.ID, err)
	}
	return content, nil
}

// find returns the best language for the tag.
func (s *Set) find(tag string) string {
	for tag = languageKey(tag); tag != ""; {
		if s.languages[tag] != nil {
			return tag
		}
		tag = tag[:max(strings.LastIndexByte(tag, '-'), 0)]
	}
	return s.fallback
}

// languageKey returns the tag as the languages' key.
func languageKey(tag string) string { return strings.ToLower(strings.ReplaceAll(tag, "_", "-")) }

func (t *texts) render(event domain.Event, test bool) (ports.Content, error) {
	data := newData(event, t.tag, test)
	subject, err := execute(t.subject, data, maxSubject)
	if err != nil {
		return ports.Content{}, err
	}
	text, err := execute(t.text, data, maxText)
	if err != nil {
		return ports.Content{}, err
	}
	html, err := execute(t.html, data, maxText)
	if err != nil {
		return ports.Content{}, err
	}
	subject = strings.Join(strings.Fields(subject), " ") // an order may have U+2028
	for _, made := range []struct{ name, text string }{{t.subject.Name(), subject}, {t.text.Name(), text}} {
		if strings.TrimSpace(made.text) == "" {
			return ports.Content{}, fmt.Errorf("%s:1: the result is empty", made.name)
		}
	}
	return ports.Content{Language: t.tag, Subject: subject, Text: text, HTML: html}, nil
}

// execute returns the template's result, without empty lines at both ends.
func execute(t executor, data Data, limit int) (string, error) {
	if t == nil {
		return "", nil
	}
	out := &bounded{left: limit, name: t.Name(), limit: limit}
	if err := t.Execute(out, data); err != nil {
		return "", withoutPackage(t.Name(), err)
	}
	if !utf8.Valid(out.Bytes()) {
		return "", fmt.Errorf("%s:1: the result is not valid UTF-8", t.Name())
	}
	return strings.Trim(out.String(), "\r\n"), nil
}

// bounded is a buffer of a limited size.
type bounded struct {
	bytes.Buffer
	name        string
	left, limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("%s:1: the result has more than %d bytes", b.name, b.limit)
	}
	return b.Buffer.Write(p)
}

// withoutPackage returns the error of a template package without the package's name, so that
// it begins with the file and the line.
func withoutPackage(name string, err error) error {
	text := err.Error()
	for _, prefix := range []string{"html/template: ", "html/template:", "template: ", "template:"} {
		text = strings.TrimPrefix(text, prefix)
	}
	if message, ok := strings.CutPrefix(text, name+": "); ok { // an error about the whole file
		text = name + ":1: " + message
	}
	return errors.New(text)
}

var (
	_ executor = (*template.Template)(nil)
	_ executor = (*htmltemplate.Template)(nil)
)
