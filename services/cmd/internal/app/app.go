// Package app has the common parts of the executables: the command line, settings,
// log and output, opening adapters by URL, and running components.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"

	"github.com/alecthomas/kong"
)

// Program describes an executable.
type Program struct {
	Name        string
	Description string

	// Defaults of settings.
	Store, Broker, LogFormat, AdminPort string
}

// Settings is a pointer to an executable's settings, a struct with kong's tags.
// It embeds [Common] and [Commands], and has a command run: the service.
//
// A command is a struct with a method Run, whose parameters may be the settings
// and a [context.Context], [Program], *[Common], [Streams] and, if the settings embed it,
// *[Notifying]. The command run
// may also have the *[Output] and the [*slog.Logger] of the service.
type Settings interface {
	Shared() *Common
	Addresses() []Address // that answer /readyz
}

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// usageError is an error in the command line that the parser does not find.
type usageError struct{ error }

// UsageErrorf returns an error in the command line. The program exits with status 2.
func UsageErrorf(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// Main runs the command that the command line names, and exits.
func Main(program Program, settings Settings) {
	os.Exit(Exec(untilSignal(), program, settings, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
}

// Exec runs one command and returns its exit status: 0, 1 after a failure, 2
// after wrong usage.
func Exec(ctx context.Context, program Program, settings Settings, args []string, s Streams) int {
	plain := s.Err
	s.Err = redacting{plain}
	done := forceExit(ctx)
	defer done()
	exited := -1
	options := []kong.Option{
		kong.Name(program.Name),
		kong.Description(program.Description),
		kong.Vars{"store": program.Store, "broker": program.Broker, "log_format": program.LogFormat, "admin_port": program.AdminPort},
		kong.Bind(program, s, settings.Shared()),
		kong.BindFor(ctx),
		kong.BindFor(settings),
		kong.Writers(s.Out, s.Err),
		kong.Exit(func(status int) { exited = status }),
		decoding(),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true}),
	}
	if n, ok := settings.(interface{ notifying() *Notifying }); ok {
		options = append(options, kong.Bind(n.notifying()))
	}
	if o, ok := settings.(interface{ ordersAt() *OrdersAt }); ok {
		options = append(options, kong.Bind(o.ordersAt()))
	}
	parser, err := kong.New(settings, options...)
	if err != nil {
		panic(err) // the tags are wrong; every test finds that
	}
	files := readFileVariables(parser.Model)
	command, err := parser.Parse(args)
	usage := func(err error) int {
		text := strings.ReplaceAll(withVariable(parser.Model, files, err), "\n", `\n`) // in an argument
		fmt.Fprintf(s.Err, "%s: %s (see %s --help)\n", program.Name, text, commandOf(program.Name, command, err))
		return 2
	}
	switch {
	case exited >= 0: // --help
		return exited
	case err != nil:
		return usage(err)
	}
	fail := func(err error) int {
		fmt.Fprintf(s.Err, "%s: %s\n", program.Name, withVariable(parser.Model, files, err))
		return 1
	}
	if err := files.check(command); err != nil {
		return fail(err)
	}
	if settings.Shared().PrintConfig {
		if err := printConfig(command, files, settings, s.Out); err != nil {
			return fail(err)
		}
		return 0
	}

	isService := command.Command() == "run"
	if isService {
		done() // a service has its own shutdown timeout
		out, errs := openOutputs(program.Name, settings.Shared(), Streams{s.In, s.Out, plain})
		defer closeOutputs(program.Name, settings.Shared(), out, errs)
		plain = errs
		s.Err = redacting{plain}
		log := settings.Shared().logger(out)
		settings.Shared().setStatus(program, settings, command, files)
		logStart(program, settings, log)
		defer runtime.KeepAlive(limitMemory(os.DirFS("/"), log))
		if err := cmp.Or(settings.Shared().readCertificate(log), settings.Shared().openGuard(log)); err != nil {
			return fail(err)
		}
		stop, err := settings.Shared().startTelemetry(program.Name, log)
		if err != nil {
			return fail(err)
		}
		defer stop()
		command.Bind(out, log)
		warnAboutSecretFlags(command, log)
	}
	err = command.Run()
	interrupted := errors.Is(err, errInterrupted)
	switch {
	case err == nil, isService && interrupted:
		return 0
	case errors.As(err, new(usageError)):
		return usage(err)
	case interrupted:
		err = errors.New("interrupted")
	case errors.As(err, new(secretFree)):
		s.Err = printable{plain}
	}
	return fail(err)
}

// commandOf returns the command that the parser found in the arguments, or the
// program.
func commandOf(program string, parsed *kong.Context, err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		parsed = parse.Context
	}
	if parsed == nil || parsed.Selected() == nil || parsed.Selected().Depth() == 0 {
		return program
	}
	return parsed.Selected().FullPath()
}

// fromVariable matches the variable's value, which kong adds to an error. The value
// may be secret.
var fromVariable = regexp.MustCompile(`(?s) \(from envar .*\)$`)

// withVariable returns the error's text with the environment variable beside each
// flag, because either may have set the value.
func withVariable(model *kong.Application, files *fileVariables, err error) string {
	text := fromVariable.ReplaceAllString(err.Error(), "")
	for _, flag := range model.Flags {
		if variable := files.name(flag); variable != "" {
			for _, end := range []string{":", " must"} {
				name := "--" + flag.Name
				text = strings.ReplaceAll(text, name+end, name+" ("+variable+")"+end)
			}
		}
	}
	return text
}
