package templates

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"

	"example.com/orderflow/domain"
)

const (
	maxFile  = 64 << 10
	maxFiles = 1000
)

// part is the part of a notification that a file makes: the end of the file's name.
type part string

const (
	subjectPart part = "subject.txt"
	textPart    part = "txt"
	htmlPart    part = "html"
)

// file is a template's file.
type file struct {
	name     string
	kind     domain.EventType
	language string
	part     part
	text     string
}

var language = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$`)

// readFolder returns the folder's templates. It returns an error for each file that is
// missing, can't be read or has an unknown name.
func readFolder(folder fs.FS) (files []file, faults []error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, []error{err}
	}
	if len(entries) > maxFiles {
		return nil, []error{fmt.Errorf("the folder has %d files, want at most %d", len(entries), maxFiles)}
	}
	for _, entry := range entries {
		name := entry.Name()
		if ext := path.Ext(name); strings.HasPrefix(name, ".") || ext != ".txt" && ext != ".html" {
			continue
		}
		f, err := newFile(name)
		if err == nil {
			f.text, err = read(folder, name)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:1: %w", name, err))
		} else {
			files = append(files, f)
		}
	}
	return files, slices.Concat(faults, missing(files, entries))
}

// newFile reads a file's name, such as order.created.en.subject.txt.
func newFile(name string) (file, error) {
	for _, kind := range eventTypes {
		rest, ok := strings.CutPrefix(name, string(kind)+".")
		if !ok {
			continue
		}
		tag, end, _ := strings.Cut(rest, ".")
		f := file{name: name, kind: kind, language: tag, part: part(end)}
		if language.MatchString(tag) && slices.Contains([]part{subjectPart, textPart, htmlPart}, f.part) {
			return f, nil
		}
	}
	return file{}, errors.New("unknown name; the names are like order.created.en.subject.txt, " +
		"order.created.en.txt and order.created.en.html")
}

func read(folder fs.FS, name string) (string, error) {
	f, err := folder.Open(name)
	if err != nil {
		return "", withoutPath(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return "", withoutPath(err)
	case len(text) > maxFile:
		return "", fmt.Errorf("the file has more than %d bytes", maxFile)
	case !utf8.Valid(text):
		return "", errors.New("the file is not valid UTF-8")
	}
	return string(bytes.TrimPrefix(text, []byte("\uFEFF"))), nil
}

func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// missing returns an error for each file that a language lacks. A file that exists but
// can't be read is not missing.
func missing(files []file, entries []fs.DirEntry) (faults []error) {
	names := make(map[string]bool)
	for _, entry := range entries {
		names[languageKey(entry.Name())] = true
	}
	languages := make(map[string]string)
	for _, f := range files {
		languages[languageKey(f.language)] = cmp.Or(languages[languageKey(f.language)], f.language)
	}
	if len(entries) == 0 {
		return []error{errors.New("the folder has no templates; it needs files like order.created.en.txt")}
	}
	for key, tag := range languages {
		for _, kind := range eventTypes {
			for _, end := range []part{subjectPart, textPart, htmlPart} {
				if !names[languageKey(string(kind)+"."+key+"."+string(end))] {
					faults = append(faults, fmt.Errorf("%s.%s.%s:1: the file is missing", kind, tag, end))
				}
			}
		}
	}
	return faults
}

// parse parses the file's template. It returns none for an empty file of HTML.
func (f file) parse() (made executor, faults []error) {
	if f.part == htmlPart {
		if strings.TrimSpace(f.text) == "" {
			return nil, nil
		}
		t, err := htmltemplate.New(f.name).Parse(f.text)
		if err != nil {
			return nil, []error{withoutPackage(f.name, err)}
		}
		return t, unknownFields(f.name, f.text, t.Tree.Root)
	}
	t, err := template.New(f.name).Parse(f.text)
	if err != nil {
		return nil, []error{withoutPackage(f.name, err)}
	}
	return t, unknownFields(f.name, f.text, t.Tree.Root)
}
