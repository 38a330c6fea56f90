// Package wiring finds what a constructor was not given, so that it shows when
// a program is put together and not at its first order.
package wiring

import (
	"fmt"
	"log/slog"
	"reflect"

	"example.com/orderflow/services/internal/requestid"
)

// Part is something that a constructor needs.
type Part struct {
	Name  string // with its article
	Given any
}

// Check returns an error that names the first part that is nil: no value at
// all, or a nil pointer in an interface.
func Check(what string, parts ...Part) error {
	for _, p := range parts {
		if IsNil(p.Given) {
			return fmt.Errorf("%s needs %s, got nil", what, p.Name)
		}
	}
	return nil
}

// IsNil reports whether the part is nil, or an interface that holds a nil
// pointer, map, function or channel.
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

// Logger returns the logger, or slog.Default() if it is nil or leads nowhere, as
// one that logs the request's id where the context has one.
func Logger(log *slog.Logger) *slog.Logger {
	if log == nil || log.Handler() == nil {
		log = slog.Default()
	}
	return slog.New(requestid.Handler(log.Handler()))
}
