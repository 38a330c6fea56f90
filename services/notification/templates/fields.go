package templates

import (
	"fmt"
	"reflect"
	"strings"
	"text/template/parse"
)

// unknownFields returns an error for each field of the template that [Data] does not
// have, also in branches that no sample takes. It skips fields of dot within range and
// with, and templates that the file defines, because their data is not Data.
func unknownFields(name, text string, root parse.Node) (faults []error) {
	check := func(pos parse.Pos, shown string, fields []string) {
		if known := missingField(reflect.TypeFor[Data](), fields); known != "" {
			line := 1 + strings.Count(text[:pos], "\n")
			faults = append(faults, fmt.Errorf("%s:%d: there is no field %s; %s", name, line, shown, known))
		}
	}
	walk(root, true, func(node parse.Node, dotIsData bool) {
		switch n := node.(type) {
		case *parse.FieldNode:
			if dotIsData {
				check(n.Position(), n.String(), n.Ident)
			}
		case *parse.VariableNode:
			if n.Ident[0] == "$" {
				check(n.Position(), n.String(), n.Ident[1:])
			}
		}
	})
	return faults
}

// missingField follows the fields. It returns an empty text if all exist, or else the
// fields that exist in place of the missing one.
func missingField(t reflect.Type, fields []string) (known string) {
	for _, name := range fields {
		if _, ok := t.MethodByName(name); ok {
			return "" // such as Format of a time
		}
		var names []string
		var next reflect.Type
		if t.Kind() == reflect.Struct {
			for _, field := range reflect.VisibleFields(t) {
				if field.IsExported() {
					names = append(names, field.Name)
				}
				if field.IsExported() && field.Name == name {
					next = field.Type
				}
			}
		}
		switch {
		case len(names) == 0:
			return "a " + t.Name() + " has no fields"
		case next == nil:
			return t.Name() + " has " + strings.Join(names, ", ")
		}
		t = next
	}
	return ""
}

// walk visits the nodes below the node. Within range and with, dot is not the data.
func walk(node parse.Node, dotIsData bool, visit func(node parse.Node, dotIsData bool)) {
	if node == nil || reflect.ValueOf(node).IsNil() {
		return
	}
	visit(node, dotIsData)
	branch := func(b *parse.BranchNode, inside bool) {
		walk(b.Pipe, dotIsData, visit)
		walk(b.List, inside, visit)
		walk(b.ElseList, dotIsData, visit)
	}
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			walk(child, dotIsData, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, dotIsData, visit)
	case *parse.PipeNode:
		for _, child := range n.Cmds {
			walk(child, dotIsData, visit)
		}
	case *parse.CommandNode:
		for _, child := range n.Args {
			walk(child, dotIsData, visit)
		}
	case *parse.ChainNode:
		walk(n.Node, dotIsData, visit)
	case *parse.TemplateNode:
		walk(n.Pipe, dotIsData, visit)
	case *parse.IfNode:
		branch(&n.BranchNode, dotIsData)
	case *parse.WithNode:
		branch(&n.BranchNode, false)
	case *parse.RangeNode:
		branch(&n.BranchNode, false)
	}
}
