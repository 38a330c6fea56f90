package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/services/cmd/proof/harness"
)

// describeMachine describes where the figures are measured, and on which servers.
func describeMachine(ctx context.Context, s *harness.Servers) (string, error) {
	cpu := cmp.Or(systemValue("/proc/cpuinfo", "model name"), runtime.GOARCH)
	memory := "an unknown amount"
	var kib float64
	if n, _ := fmt.Sscanf(systemValue("/proc/meminfo", "MemTotal"), "%f kB", &kib); n == 1 {
		memory = fmt.Sprintf("%.0f GiB", kib/(1<<20))
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	kernel := cmp.Or(strings.TrimSpace(string(release)), runtime.GOOS)

	var info struct {
		Version  string
		FerretDB struct{ Version string } `bson:"ferretdb"`
	}
	if err := s.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		return "", fmt.Errorf("ask the store for its version: %w", err)
	}
	store := "MongoDB " + info.Version
	if v := info.FerretDB.Version; v != "" {
		store = "FerretDB " + v + " (as " + store + ")"
	}
	connection, err := s.Connect(harness.DialBroker)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	return fmt.Sprintf("%s: %s, %d cores, %s of memory, kernel %s, %s; %s, %v %v", time.Now().UTC().Format(time.DateOnly),
		cpu, runtime.NumCPU(), memory, kernel, runtime.Version(), store, connection.Properties["product"], connection.Properties["version"]), nil
}

// systemValue returns the first value of the name in a file of "name: value" lines,
// or an empty string.
func systemValue(path, name string) string {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// inMemory reports whether the folder's file system is in memory, where a sync of a file
// costs nothing and keeps nothing.
func inMemory(folder string) bool {
	mounts, _ := os.ReadFile("/proc/self/mounts") // of the format proc_pid_mounts(5)
	var at, kind string
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		below := strings.HasPrefix(folder+"/", strings.TrimSuffix(fields[1], "/")+"/")
		if below && len(fields[1]) >= len(at) {
			at, kind = fields[1], fields[2]
		}
	}
	return kind == "tmpfs" || kind == "ramfs"
}
