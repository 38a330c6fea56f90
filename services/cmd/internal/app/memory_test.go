package app

import (
	"bytes"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
)

func TestCgroupLimit(t *testing.T) {
	const (
		v1          = "9:name=systemd:/\n4:memory:/docker/1\n0::/\n"
		unlimitedV1 = "9223372036854771712\n"
	)
	tests := []struct {
		name   string
		files  map[string]string
		limit  int64
		source string
	}{
		{"no control groups", nil, 0, ""},
		{"v2", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "67108864\n"}, 64 << 20, "/sys/fs/cgroup/memory.max"},
		{"v2, group below the mount", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1048576\n"}, 1 << 20, "/sys/fs/cgroup/a/b/memory.max"},
		{"v2, no limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0, ""},
		{"v2, lower limit of a parent", map[string]string{"proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/b/c/memory.max": "3000000\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "2000000\n"}, 2_000_000, "/sys/fs/cgroup/a/memory.max"},
		{"v2, higher limit of a parent", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000000\n", "sys/fs/cgroup/a/memory.max": "2000000\n"},
			1_000_000, "/sys/fs/cgroup/a/b/memory.max"},
		{"v2, group outside the namespace", map[string]string{"proc/self/cgroup": "0::/../a\n", "sys/fs/cgroup/memory.max": "1000000\n"}, 1_000_000, "/sys/fs/cgroup/memory.max"},
		{"v1", map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "67108864\n"}, 64 << 20,
			"/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes"},
		{"v1, path of the host", map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n"}, 64 << 20,
			"/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		{"v1, no limit", map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": unlimitedV1, "sys/fs/cgroup/memory/memory.limit_in_bytes": unlimitedV1}, 0, ""},
		{"v1, several controllers", map[string]string{"proc/self/cgroup": "3:cpu,memory:/a:b\n", "sys/fs/cgroup/memory/a:b/memory.limit_in_bytes": "1000000\n"}, 1_000_000,
			"/sys/fs/cgroup/memory/a:b/memory.limit_in_bytes"},
		{"both versions", map[string]string{"proc/self/cgroup": "4:memory:/a\n0::/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "2000000\n", "sys/fs/cgroup/a/memory.max": "1000000\n"},
			1_000_000, "/sys/fs/cgroup/a/memory.max"},
		{"another controller", map[string]string{"proc/self/cgroup": "5:memorystick:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000\n"}, 0, ""},
		{"unreadable", map[string]string{"proc/self/cgroup": "nonsense\n\n0::/\n", "sys/fs/cgroup/memory.max": "-1\n"}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if limit, source := cgroupLimit(root); limit != tt.limit || source != tt.source {
				t.Errorf("got %d from %q, want %d from %q", limit, source, tt.limit, tt.source)
			}
		})
	}
}

func TestLimitMemory(t *testing.T) {
	limited := fstest.MapFS{
		"proc/self/cgroup":         {Data: []byte("0::/\n")},
		"sys/fs/cgroup/memory.max": {Data: []byte("100000000\n")},
	}
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for _, tt := range []struct {
		name     string
		variable string // GOMEMLIMIT
		initial  int64  // the limit that Go's runtime has read from the variable
		root     fstest.MapFS
		limit    int64
		logged   string
	}{
		{"by the variable", "50000000", 50_000_000, limited, 50_000_000 + heapFloor, "bytes=50000000 source=GOMEMLIMIT"},
		{"off by the variable", "off", math.MaxInt64, limited, math.MaxInt64, ""},
		{"by the control group", "", math.MaxInt64, limited, 90_000_000 + heapFloor, "bytes=90000000 source=/sys/fs/cgroup/memory.max"},
		{"unlimited", "", math.MaxInt64, fstest.MapFS{}, math.MaxInt64, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", tt.variable)
			debug.SetMemoryLimit(tt.initial)
			var log bytes.Buffer
			limitMemory(tt.root, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			if limit := debug.SetMemoryLimit(-1); limit != tt.limit {
				t.Errorf("limit %d, want %d", limit, tt.limit)
			}
			if got := log.String(); !strings.Contains(got, tt.logged) || (got == "") != (tt.logged == "") {
				t.Errorf("logged %q, want %q", got, tt.logged)
			}
		})
	}
}
