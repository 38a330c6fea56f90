package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseWatermark(t *testing.T) {
	tests := []struct {
		name, status string
		want         []string // nil: an error
	}{
		{"relative", `{"alarms":[],"vm_memory_high_watermark_setting":{"relative":0.6},"x":1}`, []string{"0.6"}},
		{"after a warning", "warning: {not} set\n", nil},
		{"absolute", `{"vm_memory_high_watermark_setting":{"absolute":1073741824}}`, []string{"absolute", "1073741824"}},
		{"absolute, with a unit", `{"vm_memory_high_watermark_setting":{"absolute":"2GB"}}`, []string{"absolute", "2GB"}},
		{"left from an alarm", `{"vm_memory_high_watermark_setting":{"relative":1.0e-6}}`, nil},
		{"not there", `{}`, nil},
		{"no JSON", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseWatermark(tt.status)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
