//go:build unix

package app

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// BenchmarkNotices sends notifications from 512 callers, the default prefetch. It
// measures the CPU time of a line with the output, and with slog's handler, which
// writes one line in a call.
func BenchmarkNotices(b *testing.B) {
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 2, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	event := order.Created()
	for _, to := range []string{"pipe", "file"} {
		b.Run(to+"/one by one", func(b *testing.B) {
			benchmarkNotices(b, event, slog.NewJSONHandler(receiver(b, to), nil))
		})
		b.Run(to+"/output", func(b *testing.B) {
			c := Common{LogFormat: "json"}
			o := newOutput(receiver(b, to), c.resumed, nil)
			defer o.Close(b.Context())
			benchmarkNotices(b, event, c.noticeHandler(o))
		})
	}
}

func benchmarkNotices(b *testing.B, event domain.Event, handler slog.Handler) {
	channel := logchannel.New(handler)
	work := make(chan struct{}, b.N)
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	before := cpu(b)
	var callers sync.WaitGroup
	for range 512 {
		callers.Go(func() {
			ctx, cancel := context.WithCancel(b.Context()) // each handler has its own
			defer cancel()
			for range work {
				if _, err := channel.Send(ctx, ports.Outgoing{ID: string(event.ID), Event: event, Attempt: 1}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	callers.Wait()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/line")
}

// receiver returns a pipe that another process reads, or a file.
func receiver(b *testing.B, kind string) *os.File {
	if kind == "file" {
		f, err := os.Create(b.TempDir() + "/log")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { f.Close() })
		return f
	}
	r, w := blockingPipe(b)
	cat := exec.Command("cat")
	cat.Stdin = r
	if err := cat.Start(); err != nil {
		b.Fatal(err)
	}
	r.Close()
	b.Cleanup(func() { w.Close(); _ = cat.Wait() })
	return w
}

func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
