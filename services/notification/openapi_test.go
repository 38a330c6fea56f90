package notification_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
)

func TestOpenAPI(t *testing.T) {
	store := new(memory.Store)
	recordStories(t, store)
	control := newControl(t, storeOf(store))
	ofPublic := must(notification.NewHandler(control, pinger{}, pinger{}, discard))
	ofAdmin := must(notification.NewAdminHandler(control, discard))
	for _, tt := range []struct {
		document *apitest.Document
		handler  http.Handler
		served   []string
	}{
		{public, ofPublic, ofPublic.Operations()},
		{admin, ofAdmin, ofAdmin.Operations()},
	} {
		if diff := cmp.Diff(tt.served, tt.document.Operations()); diff != "" {
			t.Errorf("operations (-served +documented):\n%s", diff)
		}
		for _, e := range tt.document.Examples() {
			if w := tt.document.Do(tt.handler, e.Request()); w.Code == http.StatusBadRequest || w.Code == http.StatusUnprocessableEntity {
				t.Errorf("%s: the example is refused: %d %s", e.Name, w.Code, w.Body)
			}
		}
		tt.document.CheckRefusals(t, tt.handler)
	}
	if status, body := call(ofPublic, "GET", "/openapi.yaml", ""); status != 200 || body+"\n" != string(notification.OpenAPI) {
		t.Errorf("/openapi.yaml: answered %d, which is not the document", status)
	}
}
