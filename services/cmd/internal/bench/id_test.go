package main

import (
	"regexp"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
		last := ""
		for range 1000 {
			id := newID()
			if !form.MatchString(id) || id <= last {
				t.Fatalf("%s after %q", id, last)
			}
			last = id
			time.Sleep(time.Millisecond)
		}
		if first, second := newID(), newID(); first == second {
			t.Errorf("%s twice in one moment", first)
		}
	})
}
