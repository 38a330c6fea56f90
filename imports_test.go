// Package orderflow_test checks which packages import which.
package orderflow_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "example.com/orderflow"

// rule lists the packages that those of a folder may import beside the standard
// library. A path that ends in "/..." includes all packages below it.
type rule struct {
	folder  string
	imports []string
	tests   []string // further ones for its tests
}

// rules are in order: the first whose folder contains a package applies to it.
var rules = []rule{
	{"domain", nil, nil},
	{"ports/mocks", []string{"ports/...", "domain", "go.uber.org/mock/..."}, nil},
	{"ports", []string{"ports/...", "domain", "github.com/google/go-cmp/..."}, []string{"adapters/memory"}},
	{"adapters/internal/eventschema", []string{"ports", "domain", "github.com/santhosh-tekuri/jsonschema/v6", "github.com/goccy/go-yaml"}, []string{"adapters/wire", "services/order"}}, // for tests
	{"adapters/webhookchannel", []string{"ports/...", "domain", "adapters/wire", "adapters/internal/tlscheck", "github.com/standard-webhooks/standard-webhooks/libraries/go"}, nil},
	{"adapters/smtpchannel", []string{"ports/...", "domain", "adapters/internal/tlscheck", "github.com/wneessen/go-mail/..."}, []string{"github.com/emersion/go-smtp", "github.com/emersion/go-sasl"}},
	{"adapters/sqlite", []string{"ports/...", "domain", "adapters/wire", "adapters/internal/...", "github.com/ncruces/go-sqlite3/...",
		"github.com/google/uuid", "golang.org/x/sys/..."}, []string{"adapters/memory", "services/order"}},
	{"adapters", []string{"ports/...", "domain", "adapters/wire", "adapters/internal/...",
		"go.mongodb.org/mongo-driver/v2/...", "github.com/rabbitmq/amqp091-go", "github.com/google/uuid",
		"github.com/cenkalti/backoff/v5"}, []string{"services/order"}},
	{"services/cmd/proof/chaos/victim", []string{"ports/...", "domain", "adapters/...", "services/...", "github.com/alecthomas/kong", "golang.org/x/sync/errgroup"}, nil},
	{"services/cmd/proof", []string{"ports/...", "domain", "adapters/...", "services/cmd/proof/harness", "github.com/alecthomas/kong", "github.com/ncruces/go-sqlite3",
		"github.com/google/uuid", "github.com/rabbitmq/amqp091-go", "go.mongodb.org/mongo-driver/v2/...", "golang.org/x/sync/errgroup",
		"github.com/emersion/go-smtp", "github.com/standard-webhooks/standard-webhooks/libraries/go"},
		[]string{"github.com/compose-spec/compose-go/v2/..."}},
	{"services/cmd", []string{"ports/...", "domain", "adapters/...", "services/...",
		"github.com/alecthomas/kong", "github.com/cenkalti/backoff/v5", "github.com/goccy/go-yaml/...", "github.com/google/uuid", "golang.org/x/sys/unix", "golang.org/x/time/rate", "github.com/go-jose/go-jose/v4/...",
		"go.opentelemetry.io/otel/...", "github.com/prometheus/client_golang/..."},
		[]string{"github.com/emersion/go-smtp", "github.com/ncruces/go-sqlite3", "go.opentelemetry.io/proto/otlp/...", "google.golang.org/protobuf/proto"}},
	{"services/internal/apitest", []string{"services/internal/...", "services/access", "github.com/getkin/kin-openapi/...", "github.com/goccy/go-yaml"}, nil}, // for tests
	{"services/console", []string{"ports/...", "domain", "services/internal/...", "services/account", "services/actions", "services/deadletters", "services/notification",
		"github.com/google/uuid"}, []string{"adapters/memory", "services/order"}},
	{"services", []string{"ports/...", "domain", "services/internal/...", "services/access", "services/actions", "services/notification/templates",
		"github.com/google/uuid", "github.com/cenkalti/backoff/v5", "github.com/go-json-experiment/json/jsontext", "golang.org/x/time/rate",
		"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes", "go.opentelemetry.io/otel/propagation",
		"go.opentelemetry.io/otel/trace/...", "go.opentelemetry.io/otel/metric/..."}, []string{"adapters/...", "services/account", "services/console", "services/order", "services/notification", "services/deadletters",
		"go.opentelemetry.io/otel/...", "github.com/prometheus/client_golang/..."}},
	{"", nil, nil},
}

// All tests may import testLibraries.
var testLibraries = []string{"adapters/tlstest", "github.com/google/go-cmp/...", "go.uber.org/goleak", "go.uber.org/mock/...", "pgregory.net/rapid", "github.com/rabbitmq/amqp091-go", "go.mongodb.org/mongo-driver/v2/..."}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// Imports run one way: domain ← ports ← adapters, domain ← ports ← services,
// and only services/cmd joins adapters to services.
func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		folder := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		i := slices.IndexFunc(rules, func(r rule) bool {
			return r.folder == "" || folder == r.folder || strings.HasPrefix(folder, r.folder+"/")
		})
		rule := rules[i]
		for _, path := range p.Imports {
			if !isAllowed(path, rule.imports) {
				t.Errorf("%s must not import %s", p.ImportPath, path)
			}
		}
		inTests := slices.Concat(rule.imports, rule.tests, testLibraries, []string{folder, "ports/..."})
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			if !isAllowed(path, inTests) {
				t.Errorf("the tests of %s must not import %s", p.ImportPath, path)
			}
		}
	}
}

func TestIsAllowed(t *testing.T) {
	for _, path := range []string{module + "/adapters/memory", module + "/services/order", "github.com/alecthomas/kong", module + "/domainx"} {
		if isAllowed(path, []string{"ports/...", "domain"}) {
			t.Errorf("%s is allowed", path)
		}
	}
}

func isAllowed(path string, imports []string) bool {
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") { // the standard library
		return true
	}
	path = strings.TrimPrefix(path, module+"/")
	return slices.ContainsFunc(imports, func(pattern string) bool {
		root, below := strings.CutSuffix(pattern, "/...")
		return path == root || below && strings.HasPrefix(path, root+"/")
	})
}

func packages(t *testing.T) (all []goPackage) {
	t.Helper()
	for module, least := range map[string]int{".": 10, "services/cmd/proof": 4} {
		out, err := exec.Command("go", "list", "-C", module, "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
		if err != nil {
			t.Fatal(err)
		}
		before := len(all)
		for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
			var p goPackage
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		if found := len(all) - before; found < least {
			t.Fatalf("go list found only %d packages in %s", found, module)
		}
	}
	return all
}
