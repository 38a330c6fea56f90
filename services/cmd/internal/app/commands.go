package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"
)

// Commands are the commands of every executable, beside run.
type Commands struct {
	Version     printVersion `cmd:"" help:"Print the version."`
	Healthcheck healthcheck  `cmd:"" help:"Ask the running service's /readyz; exit with status 0 if it is ready."`
}

type printVersion struct{}

// Run prints the versions of the program and of Go.
func (printVersion) Run(program Program, s Streams) error {
	fmt.Fprintf(s.Out, "%s %s %s %s/%s\n", program.Name, version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// version returns the version of the program, and the revision if it is known.
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
	return module + revision
}

type healthcheck struct{}

// Run asks /readyz at each of the service's addresses.
func (healthcheck) Run(ctx context.Context, settings Settings, s Streams) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var errs []error
	for _, address := range settings.Addresses() {
		url := address.URL() + "/readyz"
		if err := askReady(ctx, url); err != nil {
			errs = append(errs, fmt.Errorf("ask for readiness: %w", err))
			continue
		}
		fmt.Fprintf(s.Out, "%s: ready\n", url)
	}
	return errors.Join(errs...)
}

func askReady(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: new(http.Transport)}).Do(request) // without a proxy
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return err
}
