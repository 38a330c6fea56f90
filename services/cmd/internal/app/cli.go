// Package app is what the executables share: the command line, opening
// adapters by URL, and starting and stopping components in order.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// Program is what the executables differ in beside their settings.
type Program struct {
	Name        string
	Description string

	// Defaults of settings.
	Store, Broker, LogFormat, AdminPort string
}

// Service is an executable's settings, a pointer to a struct with kong's tags,
// and what it does with them.
type Service interface {
	Check() error                               // refuses wrong settings, by name
	Run(ctx context.Context, out *Output) error // until ctx ends
	Addresses() []string                        // where it answers /readyz
	Shared() *Common                            // of the Common that it embeds
}

// tool is a command beside running the service.
type tool interface {
	Run(context.Context, *Common, Streams) error
}

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// usageError is a wrong usage that the parser does not find.
type usageError struct{ error }

// UsageErrorf returns an error about the command line, for which the program
// exits with status 2.
func UsageErrorf(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

type commands struct {
	Run         struct{} `cmd:"" default:"1" help:"Run the service; the default."`
	Version     struct{} `cmd:"" help:"Print the version."`
	Healthcheck struct{} `cmd:"" help:"Ask the running service's /readyz; exit status 0 if it is ready."`
}

// The services keep so little that the collector, which by default lets the heap
// grow to twice its size, would run many times a second under load, at a quarter
// of their CPU. This counts as kept, and is memory of which no page is ever
// touched: garbage comes to some 32 MiB before it is collected. Where GOMEMLIMIT
// is set there is none, for the limit would count it.
const heapFloor = 32 << 20 // bytes

// Main runs the program as its command line and environment say, and exits.
func Main(program Program, service Service) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		floor := make([]byte, heapFloor)
		defer runtime.KeepAlive(floor)
	}
	os.Exit(Exec(untilSignal(), program, service, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
}

// Exec runs one command and returns its exit status: 0, 1 after a failure, 2
// after wrong usage.
func Exec(ctx context.Context, program Program, service Service, args []string, s Streams) int {
	s.Err = redacting{s.Err}
	done := endSoon(ctx)
	defer done()
	exited := -1
	parser, err := kong.New(new(commands),
		kong.Name(program.Name),
		kong.Description(program.Description),
		kong.Embed(service),
		kong.Vars{"store": program.Store, "broker": program.Broker, "log_format": program.LogFormat, "admin_port": program.AdminPort},
		kong.Writers(s.Out, s.Err),
		kong.Exit(func(status int) { exited = status }),
		cleaning(),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true}),
	)
	if err != nil {
		panic(err) // wrong tags: any test shows them
	}
	command, err := parser.Parse(args)
	usage := func(err error) int {
		text := strings.ReplaceAll(withVariable(parser.Model, err), "\n", `\n`) // of an argument
		fmt.Fprintf(s.Err, "%s: %s (see %s --help)\n", program.Name, text, commandOf(program.Name, command, err))
		return 2
	}
	switch {
	case exited >= 0: // --help
		return exited
	case err != nil:
		return usage(err)
	}

	switch command.Command() {
	case "version":
		fmt.Fprintln(s.Out, program.Name, version())
	case "healthcheck":
		err = healthcheck(ctx, s.Out, service.Addresses())
	default:
		if err := service.Check(); err != nil {
			return usage(err)
		}
		if tool, ok := command.Selected().Target.Addr().Interface().(tool); ok {
			if err = tool.Run(ctx, service.Shared(), s); errors.Is(err, errInterrupted) {
				err = errors.New("interrupted")
			}
		} else {
			done() // from here on the service bounds its own end
			out, errs := openOutputs(program.Name, service.Shared(), s)
			defer closeOutputs(program.Name, service.Shared(), out, errs)
			s.Err = redacting{errs}
			err = service.Run(ctx, out)
		}
	}
	if wrong := (usageError{}); errors.As(err, &wrong) {
		return usage(err)
	}
	if err != nil && !errors.Is(err, errInterrupted) {
		fmt.Fprintf(s.Err, "%s: %s\n", program.Name, withVariable(parser.Model, err))
		return 1
	}
	return 0
}

// commandOf returns the command that was given, as far as it could be told.
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

// fromVariable is what kong adds to an error about a variable: its value, which
// may be secret.
var fromVariable = regexp.MustCompile(`(?s) \(from envar .*\)$`)

// withVariable adds the environment variable to an error about a flag, which
// may have been set by either.
func withVariable(model *kong.Application, err error) string {
	text := fromVariable.ReplaceAllString(err.Error(), "")
	for _, flag := range model.Flags {
		if len(flag.Envs) > 0 {
			for _, end := range []string{":", " must"} {
				name := "--" + flag.Name
				text = strings.Replace(text, name+end, name+" ("+flag.Envs[0]+")"+end, 1)
			}
		}
	}
	return text
}

func version() string {
	module, revision := "(devel)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			module = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	return fmt.Sprintf("%s%s %s %s/%s", module, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
