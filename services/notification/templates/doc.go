// Package templates makes the texts of notifications from templates. English and
// German are built in.
//
//	set, err := templates.New(os.DirFS("/etc/orderflow/templates"), "en") // nil: the built-in ones
//	content, err := set.Render(templates.Sample(), "de-AT", false)
//
// # Files
//
// A folder of templates replaces the built-in ones as a whole. For each type of event
// and language it has three files:
//
//	order.created.en.subject.txt   one line
//	order.created.en.txt           the text
//	order.created.en.html          the same as HTML; an empty file: no HTML
//
// The language is a BCP 47 tag. Files of other endings, and those whose names begin
// with a dot, are ignored. A file has at most 64 KiB. The folder builtin of this
// package shows the built-in ones.
//
// # Templates
//
// The files are templates of text/template, and of html/template, which escapes the
// order's fields. [Data] is their data. They have the predefined functions of
// text/template and no others, and no file uses another.
//
// New renders each template with sample orders: the longest, one full of HTML, one
// without a visible character, and a test. It returns every fault at once, with its
// file and line.
package templates
