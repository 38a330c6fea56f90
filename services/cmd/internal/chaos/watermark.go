package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// alarmWatermark is a share of the memory that every broker exceeds.
const alarmWatermark = 0.000001

// watermark returns the arguments that set what is set now: the share of the
// memory, or the bytes, above which the broker takes no messages.
func (s *servers) watermark(ctx context.Context) ([]string, error) {
	status, err := s.control(ctx, "rabbitmqctl", "--quiet", "status", "--formatter", "json")
	if err != nil {
		return nil, err
	}
	setting, err := readWatermark(status)
	if err != nil {
		return nil, fmt.Errorf("read the broker's memory limit: %w", err)
	}
	return setting, nil
}

func readWatermark(status string) ([]string, error) {
	start := strings.IndexByte(status, '{') // warnings may come before
	if start < 0 {
		return nil, fmt.Errorf("no JSON: %.100q", status)
	}
	var s struct {
		Setting struct {
			Relative json.Number
			Absolute json.RawMessage // a number, or text with a unit
		} `json:"vm_memory_high_watermark_setting"`
	}
	if err := json.Unmarshal([]byte(status[start:]), &s); err != nil {
		return nil, err
	}
	if absolute := strings.Trim(string(s.Setting.Absolute), `"`); absolute != "" {
		return []string{"absolute", absolute}, nil
	}
	share, err := s.Setting.Relative.Float64()
	if err != nil {
		return nil, err
	}
	if share <= alarmWatermark {
		return nil, errors.New("it is that of an alarm, which a run that was killed must have left: restart the broker")
	}
	return []string{s.Setting.Relative.String()}, nil
}

func (s *servers) setWatermark(ctx context.Context, setting ...string) error {
	return s.rabbitmqctl(ctx, append([]string{"set_vm_memory_high_watermark"}, setting...)...)
}
