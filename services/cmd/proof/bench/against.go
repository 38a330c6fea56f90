package main

import (
	"context"
	"fmt"
	"slices"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The other build has other executables of ours, such as those of an earlier version.
const (
	thisBuild  = "this build"
	otherBuild = "other build"
)

var againstClients = []int{64, 256}

// measureAgainst measures both builds, with the channel log alone.
func (b *bench) measureAgainst(ctx context.Context) {
	var turns []func()
	for build, folder := range map[string]string{thisBuild: b.folder, otherBuild: b.Against} {
		turns = append(turns, func() {
			s := b.newStage(ours)
			s.executables = folder
			defer s.close(ctx)
			s.start(ctx, 1)
			for _, n := range againstClients {
				s.measure(ctx, n, buildName(build, n))
			}
			s.finish(ctx)
		})
	}
	inTurns(turns)
	// A queue that one build makes would take the other's events.
	check(b.servers.Clean(ctx, false, harness.Queues...))
}

func buildName(build string, clients int) string { return name("builds", build, clients) }

func (b *bench) againstTables() []*table {
	t := &table{
		title: "7. Against another build",
		note: fmt.Sprintf("This build against the one in %s, with the channel log alone. Ratios are medians of the rounds' ratios.\n"+
			"CPU is in microseconds for an order, until it is notified.", b.Against),
		head: []string{"clients", " figure", otherBuild, "spread", thisBuild, "spread", "ratio", "spread"},
	}
	f := b.figures
	for _, n := range againstClients {
		here, there := buildName(thisBuild, n), buildName(otherBuild, n)
		rows := []string{"orders", "notified", "p50", "p99"}
		for _, program := range b.programs(here, there) {
			rows = append(rows, name("cpu", program))
		}
		for _, figure := range append(rows, "cpu of all") {
			old, now := name(there, figure), name(here, figure)
			ratios := f.ratios(now, old)
			t.row(n, figure, f.withSpread(short, old), f.withSpread(short, now), short(median(ratios)), spread(ratios, short))
		}
		for _, figure := range []string{"orders", "notified"} {
			share := f.ratio(name(here, figure), name(there, figure))
			t.target(fmt.Sprintf("%s a second, clients: %d: at least 95 %% of the other build's", figure, n), percent(share), share >= 0.95)
		}
	}
	return []*table{t}
}

// programs returns the programs that used CPU in every round of all the measurements.
func (b *bench) programs(under ...string) (programs []string) {
	for _, program := range []string{orderService, notifier, "postgres", "ferretdb", "beam.smp", "bench"} {
		if !slices.ContainsFunc(under, func(u string) bool {
			return len(b.figures[name(u, "cpu", program)]) < len(b.figures[name(u, "cpu of all")])
		}) {
			programs = append(programs, program)
		}
	}
	return programs
}
