package app

import (
	"fmt"
	"io/fs"
	"os"

	"example.com/orderflow/services/notification/templates"
)

// openTemplates reads the templates of each channel that has texts. It reports the faults
// of each folder once.
func (n *Notifying) openTemplates(specs []*channelSpec, fault func(flag string, err error)) map[*channelSpec]*templates.Set {
	sets := make(map[*channelSpec]*templates.Set)
	common, tried := (*templates.Set)(nil), false
	for _, spec := range specs {
		switch {
		case !spec.hasTexts():
		case spec.templates != "":
			set, err := templates.New(os.DirFS(spec.templates), n.Language)
			if err != nil {
				spec.fault("templates", fmt.Errorf("%q: %w", Redact(spec.templates), err))
				continue
			}
			sets[spec] = set
		default:
			if !tried {
				tried = true
				common = n.commonTemplates(fault)
			}
			sets[spec] = common
		}
	}
	return sets
}

// commonTemplates reads the templates of --templates, or the built-in ones.
func (n *Notifying) commonTemplates(fault func(flag string, err error)) *templates.Set {
	flag, folder := "--default-language", fs.FS(nil)
	if n.Templates != "" {
		flag, folder = "--templates", os.DirFS(n.Templates)
	}
	set, err := templates.New(folder, n.Language)
	if err != nil && n.Templates != "" {
		err = fmt.Errorf("%q: %w", Redact(n.Templates), err)
	}
	if err != nil {
		fault(flag, err)
	}
	return set
}
