package main

import (
	"bytes"
	"flag"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTable(t *testing.T) {
	table := &table{
		title: "1. Orders a second",
		note:  "Closed loop.",
		head:  []string{"clients", " way", "orders/s", "spread", "ours is"},
	}
	table.row(1, "ours", whole(1234.5), spread([]float64{1300, 1200.4, 1234.5}, whole), "")
	table.row(256, "the original's", []string{short(7.149), spread(nil, whole)}, times(12.04))
	table.target("at least 12 times", times(12.04), true)
	table.target("at least 13 times", times(12.04), false)
	table.target("at most a third", percent(0.333), true)
	table.target("at most 60 s", seconds(math.NaN()), false)
	table.target("at most 30 MB", mb(30.1), false)
	var printed bytes.Buffer
	table.print(&printed)

	const golden = "testdata/table.md"
	if *update {
		if err := os.WriteFile(golden, printed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), printed.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestForms(t *testing.T) {
	for _, tt := range []struct {
		form func(float64) string
		x    float64
		want string
	}{
		{whole, 0, "0"}, {whole, 999, "999"}, {whole, 1000, "1,000"}, {whole, 999_999.6, "1,000,000"},
		{whole, math.NaN(), "–"}, {whole, math.Inf(1), "–"},
		{short, 0.0123, "0.01"}, {short, 9.994, "9.99"}, {short, 9.996, "10.0"}, {short, 99.94, "99.9"}, {short, 99.96, "100"}, {short, 12345, "12,345"},
		{short, math.NaN(), "–"},
		{times, 2, "2.00×"}, {ms, 1.5, "1.50 ms"}, {percent, 0.755, "76 %"}, {percent, math.NaN(), "–"},
	} {
		if got := tt.form(tt.x); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.x, got, tt.want)
		}
	}
}
