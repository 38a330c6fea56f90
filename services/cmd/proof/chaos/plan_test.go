package main

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func all(string) bool  { return true }
func none(string) bool { return false }

// titles counts the faults of a plan by title.
func titles(plan []fault) map[string]int {
	counts := make(map[string]int)
	for _, f := range plan {
		counts[f.title]++
	}
	return counts
}

// exactly compares faults but for what makes them, which their titles name.
var exactly = cmp.Options{cmp.AllowUnexported(fault{}), cmpopts.IgnoreFields(fault{}, "make")}

func TestPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		duration := time.Duration(rapid.IntRange(60, 3600).Draw(t, "seconds")) * time.Second
		plan := draw(seed, duration, all)
		if diff := cmp.Diff(plan, draw(seed, duration, all), exactly); diff != "" {
			t.Fatalf("the same seed draws another plan:\n%s", diff)
		}
		// One round, written by hand: a run of a minute makes each of these.
		counts := titles(plan)
		for _, b := range boundaries {
			if counts["kill -9 "+b.name] == 0 {
				t.Errorf("the plan has no kill %s", b.name)
			}
		}
		for _, title := range []string{
			"SIGTERM", "store link cut", "store link refused", "store link delayed", "store link black-holed", "store restart", "store stop",
			"store login changed", "store rights revoked", "store quota full",
			"broker link cut", "broker link refused", "broker link delayed", "broker link black-holed", "broker restart", "broker stop",
			"broker memory alarm", "connections closed by the broker", "event published again by hand", "poison",
			"email killed", "email slow", "email refuses", "email link cut", "email link delayed", "email link black-holed",
			"webhook killed", "webhook slow", "webhook refuses", "webhook link cut", "webhook link delayed", "webhook link black-holed",
		} {
			if counts[title] == 0 {
				t.Errorf("the plan has no %s", title)
			}
		}
		killed := make(map[string]bool)
		for _, f := range plan {
			if f.title == "kill -9" {
				killed[f.process] = true
			}
			if f.at < 0 || f.at > duration-quietTime || f.length < 0 || f.length > 30*time.Second {
				t.Errorf("%v lies outside the run, or lasts too long", f)
			}
		}
		if want := []string{"notification-1", "notification-2", "order-1", "order-2"}; !slices.Equal(slices.Sorted(maps.Keys(killed)), want) {
			t.Errorf("killed at random: %v, want %v", killed, want)
		}
	})
}

func TestPlanDependsOnSeed(t *testing.T) {
	if cmp.Equal(draw(1, time.Minute, all), draw(2, time.Minute, all), exactly) {
		t.Error("two seeds draw the same plan")
	}
}

// The plan leaves other people's servers alone. It keeps the faults of the proxies.
func TestPlanWithoutServers(t *testing.T) {
	counts := titles(draw(1, 10*time.Minute, none))
	for _, title := range []string{"store login changed", "store rights revoked", "store quota full", "broker link cut", "email killed", "webhook refuses"} {
		if counts[title] == 0 {
			t.Errorf("the plan has no %s", title)
		}
	}
	for _, title := range []string{
		"store restart", "store stop", "broker restart", "broker stop", "broker memory alarm", "connections closed by the broker",
	} {
		if counts[title] > 0 {
			t.Errorf("the plan has a %s", title)
		}
	}
}

func TestEachBoundaryOften(t *testing.T) {
	counts := titles(draw(1, 10*time.Minute, all))
	for _, b := range boundaries {
		if n := counts["kill -9 "+b.name]; n < 3 {
			t.Errorf("%s: %d kills in ten minutes", b.name, n)
		}
	}
}
