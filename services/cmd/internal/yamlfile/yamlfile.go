// Package yamlfile reads configuration files in YAML strictly: it refuses unknown and
// repeated keys and values of another type, and reports every fault with its line.
package yamlfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxSize  = 64 << 10 // bytes
	maxLines = 4000     // the parser's time grows with the square of their number
	maxDepth = 16       // of lists and mappings in brackets: the parser's memory grows with the depth
)

// File is a file that was read, and the faults that were found in it.
type File struct {
	path   string
	faults []fault
}

type fault struct {
	line int
	text string
}

// Read reads the file. It returns the root of its document.
func Read(path string) (*File, Node, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, Node{}, err
	}
	defer opened.Close()
	data, err := io.ReadAll(io.LimitReader(opened, maxSize+1))
	if err != nil {
		return nil, Node{}, err
	}
	if len(data) > maxSize {
		return nil, Node{}, fmt.Errorf("the file has more than %d KiB; make it smaller", maxSize>>10)
	}
	text := strings.TrimPrefix(string(data), "\ufeff") // a byte order mark
	if lines := strings.Count(text, "\n") + strings.Count(text, "\r") - strings.Count(text, "\r\n"); lines > maxLines {
		return nil, Node{}, fmt.Errorf("the file has more than %d lines; make it shorter", maxLines)
	}
	file := &File{path: path}
	root := file.parse(text)
	return file, Node{root, file, ""}, nil
}

// Add adds a fault.
func (f *File) Add(line int, format string, args ...any) {
	f.faults = append(f.faults, fault{line, fmt.Sprintf(format, args...)})
}

// Err returns an error that has every fault on a line of its own, or nil.
func (f *File) Err() error {
	if len(f.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(f.faults, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	lines := make([]string, len(f.faults))
	for i, fault := range f.faults {
		lines[i] = fmt.Sprintf("\n  line %d: %s", fault.line, strings.ReplaceAll(fault.text, "\n", "\n    "))
	}
	const most = 50
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most], fmt.Sprintf("\n  and %d more", more))
	}
	return errors.New("the file is wrong:" + strings.Join(lines, ""))
}

// parse returns the document's root, or nil if a fault was found.
func (f *File) parse(text string) ast.Node {
	if f.checkCharacters(text); len(f.faults) > 0 {
		return nil
	}
	tokens := lexer.Tokenize(text)
	if f.checkTokens(tokens); len(f.faults) > 0 {
		return nil
	}
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	var syntax interface {
		GetToken() *token.Token
		GetMessage() string
	}
	switch {
	case errors.As(err, &syntax):
		f.Add(lineOf(syntax.GetToken()), "the YAML is malformed: %s", syntax.GetMessage())
		return nil
	case err != nil:
		f.Add(1, "the YAML is malformed")
		return nil
	case len(parsed.Docs) > 1:
		f.Add(lineOf(parsed.Docs[1].Start), "a second document begins; put everything into one")
		return nil
	case len(parsed.Docs) == 0:
		return nil
	}
	return parsed.Docs[0].Body
}

func (f *File) checkCharacters(text string) {
	line := 1
	for i, r := range text {
		switch _, size := utf8.DecodeRuneInString(text[i:]); {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1:
			f.Add(line, "a character is not valid UTF-8; save the file as UTF-8")
			return
		case r != '\t' && r != '\r' && unicode.IsControl(r):
			f.Add(line, "the control character %U is not allowed; remove it", r)
		}
	}
}

// checkTokens refuses what can make a small file large, or expensive to parse.
func (f *File) checkTokens(tokens token.Tokens) {
	depth, entries, line := 0, 0, 0
	for _, t := range tokens {
		if at := lineOf(t); at != line {
			entries, line = 0, at
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			f.Add(line, "anchors, aliases and merges are not supported; write the values out")
		case token.TagType, token.DirectiveType:
			f.Add(line, "tags and directives are not supported; remove them")
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			entries++
		}
		if depth > maxDepth || entries > maxDepth {
			f.Add(line, "lists and mappings are nested too deeply")
			return
		}
	}
}

func lineOf(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 1
	}
	return t.Position.Line
}
