package notification_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must returns what a constructor made of parts that fit.
func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}
