package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Commands are the commands of every executable, beside run.
type Commands struct {
	Version     printVersion `cmd:"" help:"Print the version."`
	Healthcheck healthcheck  `cmd:"" help:"Ask the running service's /readyz; exit with status 0 if it is ready."`

	Token tokenCommands `cmd:"" help:"Make and list the tokens of those who may use the admin address."`
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
	var causes []string
	asked := make(map[string][]string) // URLs by cause
	for _, address := range settings.Addresses() {
		url := settings.Shared().URL(address) + "/readyz"
		notWell, err := settings.Shared().askReady(ctx, url)
		if err != nil {
			cause := err.Error()
			if asked[cause] == nil {
				causes = append(causes, cause)
			}
			asked[cause] = append(asked[cause], url)
			continue
		}
		if notWell != "" {
			notWell = ", but not well: " + Printable(notWell)
		}
		fmt.Fprintf(s.Out, "%s: ready%s\n", url, notWell)
	}
	var errs []error
	for _, cause := range causes {
		errs = append(errs, fmt.Errorf("ask for readiness: %s: %s", strings.Join(asked[cause], ", "), cause))
	}
	return errors.Join(errs...)
}

var errNobodyListens = errors.New("nothing listens there; start the service, or give the address that it has")

// askReady returns an error without the URL unless the service is ready. It returns what
// is not well even so, such as a broker that is down while orders are taken.
func (s *ServerTLS) askReady(ctx context.Context, url string) (notWell string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := s.ownClient(nil) // nothing secret is sent, and a wrong certificate is no reason to restart the service
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	var failed *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", errNobodyListens
	case errors.As(err, &failed):
		return "", failed.Err // without the address
	case err != nil:
		return "", errors.Unwrap(err) // without the URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	return whatIsNotWell(body), err
}

// whatIsNotWell returns the status of an answer of /readyz and its checks, as far as they
// are not as they should be.
func whatIsNotWell(body []byte) string {
	var answer struct {
		Status string
		Checks map[string]any
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var faults []string
	if answer.Status != "" && answer.Status != "ready" {
		faults = append(faults, answer.Status)
	}
	for _, name := range slices.Sorted(maps.Keys(answer.Checks)) {
		if state := answer.Checks[name]; state != "up" {
			faults = append(faults, fmt.Sprintf("%s %v", name, state))
		}
	}
	return strings.Join(faults, ", ")
}
