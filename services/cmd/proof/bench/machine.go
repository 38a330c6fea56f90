package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/services/cmd/proof/harness"
)

// machine is where the figures were measured.
type machine struct {
	Date   string `json:"date"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Store  string `json:"store"`
	Broker string `json:"broker"`
}

func describeMachine(ctx context.Context, s *servers) (machine, error) {
	m := machine{
		Date:   time.Now().UTC().Format(time.DateOnly),
		CPU:    cmp.Or(systemValue("/proc/cpuinfo", "model name"), runtime.GOARCH),
		Cores:  runtime.NumCPU(),
		Memory: "an unknown amount",
		Kernel: runtime.GOOS,
		Go:     runtime.Version(),
	}
	if kib, err := strconv.ParseFloat(strings.TrimSuffix(systemValue("/proc/meminfo", "MemTotal"), " kB"), 64); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", kib/(1<<20))
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	var info struct {
		Version  string
		FerretDB struct{ Version string } `bson:"ferretdb"`
	}
	if err := s.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		return m, fmt.Errorf("ask the store for its version: %w", err)
	}
	m.Store = "MongoDB " + info.Version
	if v := info.FerretDB.Version; v != "" {
		m.Store = "FerretDB " + v + " (as MongoDB " + info.Version + ")"
	}
	connection, err := s.Connect(harness.DialBroker)
	if err != nil {
		return m, err
	}
	defer connection.Close()
	m.Broker = fmt.Sprintf("%v %v", connection.Properties["product"], connection.Properties["version"])
	return m, nil
}

func (m machine) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, %d cores, %s of memory, kernel %s, %s; %s, %s. "+
		"Servers, services and load share the machine.\n\n",
		m.Date, m.CPU, m.Cores, m.Memory, m.Kernel, m.Go, m.Store, m.Broker)
}

// systemValue returns the first value of the name in a file of "name: value" lines;
// empty if there is none.
func systemValue(path, name string) string {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
