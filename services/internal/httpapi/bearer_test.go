package httpapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"example.com/orderflow/services/internal/httpapi"
)

func TestBearerToken(t *testing.T) {
	for _, tt := range []struct {
		values []string
		token  string
		want   httpapi.Unauthenticated
	}{
		{[]string{"Bearer abc"}, "abc", httpapi.Unauthenticated{}},
		{[]string{"bearer  a.b-c_d~e+f/g=="}, "a.b-c_d~e+f/g==", httpapi.Unauthenticated{}},
		{nil, "", httpapi.Unauthenticated{}},
		{[]string{""}, "", httpapi.Unauthenticated{}},
		{[]string{"Basic dXNlcjpwYXNz"}, "", httpapi.Unauthenticated{}},
		{[]string{"Bearerabc"}, "", httpapi.Unauthenticated{}},
		{[]string{"Bearer"}, "", httpapi.Unauthenticated{Reason: "the header Authorization must be Bearer and one token", Malformed: true}},
		{[]string{"Bearer a b"}, "", httpapi.Unauthenticated{Reason: "the header Authorization must be Bearer and one token", Malformed: true}},
		{[]string{"Bearer a,b"}, "", httpapi.Unauthenticated{Reason: "the header Authorization must be Bearer and one token", Malformed: true}},
		{[]string{"Bearer é"}, "", httpapi.Unauthenticated{Reason: "the header Authorization must be Bearer and one token", Malformed: true}},
		{[]string{"Bearer a", "Bearer a"}, "", httpapi.Unauthenticated{Reason: "the header Authorization is given more than once", Malformed: true}},
		{[]string{"Bearer " + strings.Repeat("a", 8<<10+1)}, "", httpapi.Unauthenticated{Reason: "the token is larger than 8 KiB"}},
	} {
		token, err := httpapi.BearerToken(http.Header{"Authorization": tt.values})
		var u *httpapi.Unauthenticated
		if token != tt.token || token == "" && (!errors.As(err, &u) || *u != tt.want) {
			t.Errorf("%.40q: %q, %#v", tt.values, token, err)
		}
	}
}
