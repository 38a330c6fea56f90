package yamlfile

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// Node is a value in a file. Its methods add a fault to the file, and return the zero
// value, if the value has another type than they want. The zero Node is a value that
// the file does not have: they return the zero value, and add no fault.
type Node struct {
	node ast.Node
	file *File
	name string // of the setting whose value it is, such as channels[0].kind; empty: the document
}

// Fault adds a fault about the value. Its text follows the setting's name.
func (n Node) Fault(format string, args ...any) {
	name := n.name
	if name == "" {
		name = "the document"
	}
	n.file.Add(n.Line(), "%s %s", name, fmt.Sprintf(format, args...))
}

// Line returns the value's line.
func (n Node) Line() int {
	if n.node == nil {
		return 1
	}
	return lineOf(n.node.GetToken())
}

// IsSet reports whether the file has the value.
func (n Node) IsSet() bool { return n.node != nil }

// Mapping returns the values by their keys. Other keys are faults, and keys that
// stand there twice. It sets no value for a key that the file does not have.
func (n Node) Mapping(keys ...string) map[string]Node {
	values := make(map[string]Node)
	known := strings.Join(keys, ", ")
	mapping, ok := n.node.(*ast.MappingNode)
	if !ok {
		if n.IsSet() || n.name == "" && n.file != nil && len(n.file.faults) == 0 {
			n.Fault("must be a mapping of %s", known)
		}
		return values
	}
	lines := make(map[string]int)
	for _, entry := range mapping.Values {
		line := lineOf(entry.Key.GetToken())
		key, ok := entry.Key.(*ast.StringNode)
		if !ok || !slices.Contains(keys, key.Value) {
			n.file.Add(line, "%s is unknown here; give one of %s", quoted(entry.Key), known)
			continue
		}
		value := Node{entry.Value, n.file, join(n.name, key.Value)}
		switch {
		case lines[key.Value] > 0:
			n.file.Add(line, "%s stands in line %d already; remove one of them", value.name, lines[key.Value])
		case isNull(entry.Value):
			n.file.Add(line, "%s has no value; give one, or remove the line", value.name)
		default:
			values[key.Value] = value
		}
		lines[key.Value] = line
	}
	return values
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// quoted returns the key. It does not show one that may be a part of a secret.
func quoted(key ast.MapKeyNode) string {
	if text := key.String(); plainKey.MatchString(text) {
		return strconv.Quote(text)
	}
	return "this key"
}

func join(name, key string) string {
	if name == "" {
		return key
	}
	return name + "." + key
}

func isNull(node ast.Node) bool {
	_, null := node.(*ast.NullNode)
	return node == nil || null
}

// Each calls read with each value of a list.
func (n Node) Each(read func(Node)) {
	if !n.IsSet() {
		return
	}
	list, ok := n.node.(*ast.SequenceNode)
	if !ok {
		n.Fault("must be a list")
		return
	}
	if len(list.Values) == 0 {
		n.Fault("is empty; give at least one, or remove the line")
	}
	for i, value := range list.Values {
		read(Node{value, n.file, n.name + "[" + strconv.Itoa(i) + "]"})
	}
}

// Text returns a text that is not empty and has no control characters.
func (n Node) Text() string {
	switch node := n.node.(type) {
	case nil:
	case *ast.StringNode:
		switch {
		case strings.TrimSpace(node.Value) == "":
			n.Fault("is empty; give a text, or remove the line")
		case strings.ContainsFunc(node.Value, unicode.IsControl):
			n.Fault("must not contain control characters")
		default:
			return node.Value
		}
		return ""
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		n.Fault("must be a text; put %s in quotes", node)
	default:
		n.Fault("must be a text on one line")
	}
	return ""
}

// Bool returns true or false.
func (n Node) Bool() bool {
	if !n.IsSet() {
		return false
	}
	node, ok := n.node.(*ast.BoolNode)
	if !ok {
		n.Fault("must be true or false")
		return false
	}
	return node.Value
}

// Int returns a whole number between the bounds.
func (n Node) Int(lowest, highest int) int {
	if !n.IsSet() {
		return 0
	}
	node, ok := n.node.(*ast.IntegerNode)
	if ok {
		if number, err := strconv.Atoi(node.Token.Value); err == nil && number >= lowest && number <= highest {
			return number
		}
	}
	n.Fault("must be a whole number from %d to %d", lowest, highest)
	return 0
}

// Number returns a number between the bounds.
func (n Node) Number(lowest, highest float64) float64 {
	switch n.node.(type) {
	case nil:
		return 0
	case *ast.IntegerNode, *ast.FloatNode:
		number, err := strconv.ParseFloat(n.node.GetToken().Value, 64)
		if err == nil && !math.IsNaN(number) && number >= lowest && number <= highest {
			return number
		}
	}
	n.Fault("must be a number from %v to %v", lowest, highest)
	return 0
}

// Duration returns a duration between the bounds, as [ParseDuration] reads it.
func (n Node) Duration(lowest, highest time.Duration) time.Duration {
	if !n.IsSet() {
		return 0
	}
	if node, ok := n.node.(*ast.StringNode); ok {
		if d, err := ParseDuration(node.Value); err == nil && d >= lowest && d <= highest {
			return d
		}
	}
	n.Fault("must be a duration from %s to %s, such as 30s, 4h or 3d", FormatDuration(lowest), FormatDuration(highest))
	return 0
}
