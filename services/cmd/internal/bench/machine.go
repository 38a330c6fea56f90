package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is where the figures are from.
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

func describeMachine(store, broker string) machine {
	return machine{
		Date:   time.Now().UTC().Format(time.DateOnly),
		CPU:    cmp.Or(systemFile("/proc/cpuinfo", "model name"), runtime.GOARCH),
		Cores:  runtime.NumCPU(),
		Memory: memory(systemFile("/proc/meminfo", "MemTotal")),
		Kernel: cmp.Or(firstLine("/proc/sys/kernel/osrelease"), runtime.GOOS),
		Go:     runtime.Version(),
		Store:  store,
		Broker: broker,
	}
}

func (m machine) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, %d cores, %s of memory, kernel %s, %s; %s, %s. "+
		"Servers, services and load share the machine.\n\n",
		m.Date, m.CPU, m.Cores, m.Memory, m.Kernel, m.Go, m.Store, m.Broker)
}

// systemFile returns the first value of the name in a file of "name: value"
// lines; empty where the system has none.
func systemFile(path, name string) string {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func firstLine(path string) string {
	data, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

// memory turns "16384 kB" into "16 GiB".
func memory(kib string) string {
	n, err := strconv.ParseFloat(strings.TrimSuffix(kib, " kB"), 64)
	if err != nil {
		return "an unknown amount"
	}
	return fmt.Sprintf("%.0f GiB", n/(1<<20))
}
