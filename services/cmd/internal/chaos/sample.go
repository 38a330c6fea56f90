package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// sample writes the processes' sizes and the backlog at the interval that is
// set, until it is stopped. What can't be asked at the moment is left out.
func (st *stage) sample(ctx context.Context) (stop func()) {
	if st.settings.Sample <= 0 {
		return func() {}
	}
	file, err := os.Create(filepath.Join(st.folder, "samples.tsv"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos: no samples: %v\n", err)
		return func() {}
	}
	fmt.Printf("chaos: samples in %s\n", file.Name())
	fmt.Fprintln(file, "seconds\tprocess\tlife\trss_kib\tgoroutines\tstore_connections\tbroker_connections\toutbox\tnot_notified\tqueued")
	ctx, cancel := context.WithCancel(ctx)
	began := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		for sleep(ctx, st.settings.Sample) {
			at := int(time.Since(began).Seconds())
			waiting := "\t\t"
			asking, done := context.WithTimeout(ctx, 5*time.Second)
			if b, err := st.backlog(asking); err == nil {
				waiting = fmt.Sprintf("%d\t%d\t%d", b.outbox, b.unsent, b.queued)
			}
			done()
			for _, p := range st.processes {
				if s, err := p.size(ctx); err == nil {
					fmt.Fprintf(file, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n",
						at, p.name, p.lifeNumber(), s.rss, s.goroutines, s.storeConnections, s.brokerConnections, waiting)
				}
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		file.Close()
	}
}

func (p *process) lifeNumber() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lives
}
