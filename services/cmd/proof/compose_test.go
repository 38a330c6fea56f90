// Package proof_test checks that compose.yaml and the executables agree.
package proof_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/services/cmd/proof/harness"
)

// compose.yaml and the executables agree on ports, variables, health checks, stop
// times and the order of starts.
func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../../../compose.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	binaries := t.TempDir()
	if err := harness.Build(t.Context(), binaries); err != nil {
		t.Fatal(err)
	}
	names := project.ServiceNames()
	slices.Sort(names)
	if diff := cmp.Diff([]string{"mongodb", "notification", "order", "rabbitmq"}, names); diff != "" {
		t.Fatalf("services (-want +got):\n%s", diff)
	}
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}

	for _, name := range []string{"order", "notification"} {
		t.Run(name, func(t *testing.T) {
			service := project.Services[name]
			command := exec.CommandContext(t.Context(), filepath.Join(binaries, name), "--help")
			command.Env = []string{"COLUMNS=1000"}
			out, err := command.Output()
			if err != nil {
				t.Fatal(err)
			}
			help := string(out)

			port := regexp.MustCompile(`--addr=":(\d+)"`).FindStringSubmatch(help)
			if port == nil {
				t.Fatalf("no default address in\n%s", help)
			}
			if len(service.Ports) != 1 || strconv.Itoa(int(service.Ports[0].Target)) != port[1] ||
				service.Ports[0].Published != port[1] || service.Ports[0].HostIP != "127.0.0.1" {
				t.Errorf("ports %+v, want %s on this machine alone", service.Ports, port[1])
			}
			if !regexp.MustCompile(`(?s)AS ` + name + `\n[^#]*?EXPOSE ` + port[1] + `\nENTRYPOINT \["/` + name + `"\]`).Match(dockerfile) {
				t.Errorf("the Dockerfile has no target %s that exposes %s", name, port[1])
			}

			for variable, value := range service.Environment {
				if !strings.Contains(help, variable) {
					t.Errorf("%s is no setting of %s", variable, name)
				}
				if *value == "" { // for the person who starts it to set
					continue
				}
				u, err := url.Parse(*value)
				if err != nil {
					t.Fatal(err)
				}
				server, ok := project.Services[u.Hostname()]
				if !ok {
					t.Fatalf("%s: no service %s", variable, u.Hostname())
				}
				if !slices.ContainsFunc(server.Ports, func(p types.ServicePortConfig) bool {
					return strconv.Itoa(int(p.Target)) == u.Port()
				}) {
					t.Errorf("%s: %s does not listen at %s", variable, u.Hostname(), u.Port())
				}
				if service.DependsOn[u.Hostname()].Condition != types.ServiceConditionHealthy {
					t.Errorf("does not wait until %s is healthy", u.Hostname())
				}
			}
			for _, variable := range []string{"STORE_URL", "BROKER_URL"} {
				if service.Environment[variable] == nil {
					t.Errorf("%s is not set: its default is localhost", variable)
				}
			}

			var stop time.Duration // its bound by default
			for _, setting := range []string{"shutdown-delay", "shutdown-timeout"} {
				value := regexp.MustCompile(`--` + setting + `=(\S+)`).FindStringSubmatch(help)
				if value == nil {
					t.Fatalf("no default of --%s in\n%s", setting, help)
				}
				d, err := time.ParseDuration(value[1])
				if err != nil {
					t.Fatal(err)
				}
				stop += d
			}
			if grace := service.StopGracePeriod; grace == nil || time.Duration(*grace) < stop+2*time.Second {
				t.Errorf("killed %v after SIGTERM, want more than the time that its stop may take: %v", grace, stop)
			}

			want := types.HealthCheckTest{"CMD", "/" + name, "healthcheck"}
			if service.HealthCheck == nil || !slices.Equal(service.HealthCheck.Test, want) {
				t.Errorf("health check %+v, want %v", service.HealthCheck, want)
			}
			if !service.ReadOnly || service.Build.Target != name || service.Build.Dockerfile != "services/cmd/Dockerfile" {
				t.Errorf("read-only %v, build %+v", service.ReadOnly, service.Build)
			}
		})
	}
	for _, name := range []string{"mongodb", "rabbitmq"} {
		service := project.Services[name]
		if service.HealthCheck == nil || len(service.HealthCheck.Test) < 2 {
			t.Errorf("%s has no health check to wait for", name)
		}
		if len(service.Volumes) == 0 {
			t.Errorf("%s keeps its data nowhere", name)
		}
		for _, p := range service.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s beyond this machine", name, p.Published)
			}
		}
	}
}
