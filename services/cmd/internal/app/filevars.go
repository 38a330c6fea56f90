package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

// fileVariables are the variables that name files with values of settings.
type fileVariables struct {
	paths  map[*kong.Value]string // of the files that were read
	faults map[*kong.Value]error
}

// readFileVariables reads the files that the variables of the settings name. What is in a
// file takes the place of the setting's default. So a flag wins.
func readFileVariables(model *kong.Application) *fileVariables {
	f := &fileVariables{paths: make(map[*kong.Value]string), faults: make(map[*kong.Value]error)}
	_ = kong.Visit(model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			f.read(flag)
		}
		return next(nil)
	})
	return f
}

func (f *fileVariables) read(flag *kong.Flag) {
	variable := flag.Tag.Get("filevar")
	path := os.Getenv(variable)
	if variable == "" || path == "" {
		return
	}
	text, err := readPassword(path)
	if _, set := os.LookupEnv(flag.Envs[0]); set {
		err = fmt.Errorf("%s is set, too; remove one of them", flag.Envs[0])
	} else {
		err = atPath(path, path, err)
	}
	if err != nil {
		f.faults[flag.Value] = fmt.Errorf("%s: %w", variable, err)
		return
	}
	f.paths[flag.Value] = path
	flag.Default, flag.HasDefault = text, true
}

// check returns the faults of the files that the command needs.
func (f *fileVariables) check(command *kong.Context) error {
	given := make(map[*kong.Value]bool)
	for _, part := range command.Path {
		if part.Flag != nil {
			given[part.Flag.Value] = true
		}
	}
	var faults []error
	for _, flag := range command.Flags() {
		if err := f.faults[flag.Value]; err != nil && !given[flag.Value] {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// name returns the name of the variable that the setting comes from.
func (f *fileVariables) name(flag *kong.Flag) string {
	if f.paths[flag.Value] != "" {
		return flag.Tag.Get("filevar")
	}
	return cmp.Or(append(flag.Envs, "")...)
}
