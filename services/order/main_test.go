package order_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must returns a constructor's value, and panics if the constructor failed.
func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}
