package notification_test

import (
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports/mocks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must returns a constructor's value, and panics if the constructor failed.
func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}

// newLog returns a mock whose claims last long enough for NewService.
func newLog(control *gomock.Controller) *mocks.MockDeliveryLog {
	log := mocks.NewMockDeliveryLog(control)
	log.EXPECT().ClaimLease().Return(memory.DefaultDeliveryLease).AnyTimes()
	return log
}
