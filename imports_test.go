// Package orderflow_test holds the house's one rule about imports.
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

// rules say what the packages of a folder may import beside the standard
// library: paths that end in "/..." mean everything below. The first rule that
// fits a package is its rule.
var rules = []struct {
	folder string
	may    []string
	tests  []string // what its tests may import in addition
}{
	{"domain", nil, nil},
	{"ports/mocks", []string{"ports/...", "domain", "go.uber.org/mock/..."}, nil},
	{"ports", []string{"ports/...", "domain", "github.com/google/go-cmp/..."}, []string{"adapters/memory"}},
	{"adapters", []string{"ports/...", "domain", "adapters/wire", "adapters/internal/...",
		"go.mongodb.org/mongo-driver/v2/...", "github.com/rabbitmq/amqp091-go", "github.com/google/uuid",
		"github.com/cenkalti/backoff/v5"}, []string{"services/order"}},
	{"services/cmd/proof", []string{"ports/...", "domain", "adapters/...", "services/cmd/proof/harness", "github.com/alecthomas/kong",
		"github.com/google/uuid", "github.com/rabbitmq/amqp091-go", "go.mongodb.org/mongo-driver/v2/...", "golang.org/x/sync/errgroup"},
		[]string{"github.com/compose-spec/compose-go/v2/..."}},
	{"services/cmd", []string{"ports/...", "domain", "adapters/...", "services/...",
		"github.com/alecthomas/kong", "github.com/cenkalti/backoff/v5", "golang.org/x/sys/unix"}, nil},
	{"services", []string{"ports/...", "domain", "services/internal/...",
		"github.com/google/uuid", "github.com/cenkalti/backoff/v5", "github.com/go-json-experiment/json/jsontext"}, []string{"adapters/...", "services/order", "services/notification", "services/deadletters"}},
	{"", nil, nil},
}

// testing libraries, for the tests of any package
var testLibraries = []string{"github.com/google/go-cmp/...", "go.uber.org/goleak", "go.uber.org/mock/...", "pgregory.net/rapid", "github.com/rabbitmq/amqp091-go", "go.mongodb.org/mongo-driver/v2/..."}

type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// Imports run one way: domain ← ports ← adapters, domain ← ports ← services,
// and only services/cmd joins adapters to services.
func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		folder := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		i := slices.IndexFunc(rules, func(r struct {
			folder     string
			may, tests []string
		}) bool {
			return r.folder == "" || folder == r.folder || strings.HasPrefix(folder, r.folder+"/")
		})
		rule := rules[i]
		for _, path := range p.Imports {
			if !allowed(path, rule.may) {
				t.Errorf("%s must not import %s", p.ImportPath, path)
			}
		}
		inTests := slices.Concat(rule.may, rule.tests, testLibraries, []string{folder, "ports/..."})
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			if !allowed(path, inTests) {
				t.Errorf("the tests of %s must not import %s", p.ImportPath, path)
			}
		}
	}
}

func TestTheRuleRefuses(t *testing.T) {
	for _, path := range []string{module + "/adapters/memory", module + "/services/order", "github.com/alecthomas/kong", module + "/domainx"} {
		if allowed(path, []string{"ports/...", "domain"}) {
			t.Errorf("%s passes", path)
		}
	}
}

func allowed(path string, may []string) bool {
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") { // the standard library
		return true
	}
	path = strings.TrimPrefix(path, module+"/")
	return slices.ContainsFunc(may, func(pattern string) bool {
		tree, below := strings.CutSuffix(pattern, "/...")
		return path == tree || below && strings.HasPrefix(path, tree+"/")
	})
}

func packages(t *testing.T) (all []listed) {
	t.Helper()
	for module, fewest := range map[string]int{".": 10, "services/cmd/proof": 4} {
		out, err := exec.Command("go", "list", "-C", module, "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
		if err != nil {
			t.Fatal(err)
		}
		before := len(all)
		for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
			var p listed
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		if found := len(all) - before; found < fewest {
			t.Fatalf("go list found only %d packages in %s", found, module)
		}
	}
	return all
}
