package app

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// printConfig prints the settings, each with its source: a flag, a variable, a file that a
// variable names, or the default. It hides secrets.
func printConfig(command *kong.Context, files *fileVariables, settings Settings, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value, source string) {
		fmt.Fprintf(table, "%s\t%s\t%s\n", name, Printable(value), Printable(source))
	}
	row("SETTING", "VALUE", "SOURCE")
	for _, s := range shownSettings(command, files) {
		row(s.Name, cmp.Or(s.Value, "(none)"), s.Source)
	}
	for _, variable := range []string{tokenVariable, tokenFileVariable} {
		if os.Getenv(variable) != "" {
			row("token", "(hidden)", "variable "+variable)
		}
	}
	if n, ok := settings.(interface{ notifying() *Notifying }); ok {
		if webhookSecretIsSet() {
			row("webhook-secret", "(hidden)", "variable "+webhookSecret)
		}
		channels, faults := n.notifying().CheckChannels(nil)
		for _, f := range faults {
			row("channels", "(fault) "+Redact(f.What+": "+f.Fault), "")
		}
		if channels != nil {
			defer channels.Close()
			for _, opened := range channels.opened {
				row("channel "+opened.name, strings.Join(append([]string{opened.kind}, opened.recipients()...), ", "), "")
			}
		}
	}
	return table.Flush()
}

// Setting is a setting as people see it, without secrets.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"` // flag, a variable, a file that a variable names, or default
}

// shownSettings returns the settings of the flags.
func shownSettings(command *kong.Context, files *fileVariables) (shown []Setting) {
	given := make(map[*kong.Value]bool)
	for _, part := range command.Path {
		if part.Flag != nil {
			given[part.Flag.Value] = true
		}
	}
	for _, flag := range command.Model.Flags {
		if flag.Name == "help" || flag.Name == "print-config" {
			continue
		}
		source := "default"
		switch {
		case given[flag.Value]:
			source = "flag"
		case files.paths[flag.Value] != "":
			source = fmt.Sprintf("file %s (%s)", Redact(files.paths[flag.Value]), flag.Tag.Get("filevar"))
		default:
			for _, variable := range flag.Envs {
				if _, set := os.LookupEnv(variable); set {
					source = "variable " + variable
				}
			}
		}
		shown = append(shown, Setting{flag.Name, shownSetting(flag.Name, valueText(flag)), source})
	}
	return shown
}

// valueText returns the setting's value as a flag would have it.
func valueText(flag *kong.Flag) string {
	text := fmt.Sprint(flag.Target.Interface())
	if days, ok := flag.Target.Interface().(Days); ok {
		text = days.String()
	}
	return text
}

// shownSetting returns the value without secrets. Whole parts of URLs may be secrets.
func shownSetting(name, value string) string {
	u, err := url.Parse(value)
	isURL := err == nil && u.Scheme != "" && strings.Contains(value, ":") && u.Opaque == ""
	switch {
	case name == "webhook" || name == "alerts" && isURL:
		if !isURL || u.Host == "" {
			return hiddenUnlessEmpty(value)
		}
		if u.Path+u.RawQuery != "" {
			return u.Scheme + "://" + u.Host + "/…"
		}
		return u.Scheme + "://" + u.Host
	case strings.Contains(value, "://") || name == "store" || name == "broker":
		shown := Shown(value)
		if isURL && u.RawQuery != "" && !strings.HasPrefix(value, "sqlite:") {
			shown += "?…"
		}
		return Redact(shown)
	}
	return Redact(value)
}

func hiddenUnlessEmpty(value string) string {
	if value == "" {
		return ""
	}
	return "(hidden)"
}
