// Package wiring finds missing arguments of constructors, so that a program fails
// when it starts and not at its first order.
package wiring

import (
	"fmt"
	"log/slog"
	"reflect"

	"example.com/orderflow/services/internal/requestid"
)

// Part is a required argument of a constructor.
type Part struct {
	Name  string // with its article, such as "a store"
	Given any
}

// Check returns an error that names the first nil part, as [IsNil] defines nil.
// what names the value under construction, such as "relay".
func Check(what string, parts ...Part) error {
	for _, p := range parts {
		if IsNil(p.Given) {
			return fmt.Errorf("%s needs %s, got nil", what, p.Name)
		}
	}
	return nil
}

// IsNil reports whether the part is nil, or a nil pointer, map, slice, function or
// channel in an interface.
func IsNil(part any) bool {
	if part == nil {
		return true
	}
	switch v := reflect.ValueOf(part); v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice:
		return v.IsNil()
	}
	return false
}

// Logger returns a copy of log that adds the context's request id to each line. It
// uses slog.Default() if log is nil or has no handler.
func Logger(log *slog.Logger) *slog.Logger {
	if log == nil || log.Handler() == nil {
		log = slog.Default()
	}
	return slog.New(requestid.Handler(log.Handler()))
}
