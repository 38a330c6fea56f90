package order_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// dump formats an answer, with placeholders for ids and times.
func dump(t *testing.T, response *http.Response) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, response.Status)
	for _, name := range []string{"Allow", "Content-Type", "Location", "Retry-After"} {
		if v := response.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "\n%s", bodyOf(t, response))
	text := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(b.String(), "<uuid>")
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(text, "<time>")
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("../../testdata/answers", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("answer (-want +got; run with -update to rewrite the golden file):\n%s", diff)
	}
}

const laptop = `{"user_id":"123","product":"Laptop","quantity":1}`

func TestPlaceAnswers(t *testing.T) {
	const asJSON = "application/json"
	long := func(n int) string { return strings.Repeat("x", n) }
	unknown := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "%d", fmt.Sprint(i)))
		}
		return b.String()
	}
	tests := []struct {
		name        string
		method      string
		path        string
		contentType string
		body        string
	}{
		{"placed", "POST", "/order", asJSON, laptop},
		{"placed_at_orders", "POST", "/orders", "application/json; charset=UTF-8", laptop},
		{"placed_with_escapes", "POST", "/order", asJSON, `{"user_id":"ü<&>","product":"\u00e9\ud83d\ude00","quantity":1000000}`},
		{"empty_body", "POST", "/order", asJSON, ""},
		{"truncated", "POST", "/order", asJSON, `{"user_id":"123","product":"Lap`},
		{"no_json", "POST", "/order", asJSON, "user_id=123"},
		{"trailing_comma", "POST", "/order", asJSON, `{"user_id":"123",}`},
		{"list", "POST", "/order", asJSON, "[]"},
		{"second_value", "POST", "/order", asJSON, laptop + " {}"},
		{"trailing_garbage", "POST", "/order", asJSON, laptop + "x"},
		{"invalid_utf8", "POST", "/order", asJSON, "{\"user_id\":\"123\",\"product\":\"\xff\",\"quantity\":1}"},
		{"nested_too_deeply", "POST", "/order", asJSON, `{"user_id":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"},
		{"invalid_utf8_name", "POST", "/order", asJSON, "{\"\xff\":1}"},
		{"lone_surrogate", "POST", "/order", asJSON, `{"user_id":"123","product":"\ud800","quantity":1}`},
		{"control_character", "POST", "/order", asJSON, `{"user_id":"12\n3","product":"a\u0000","quantity":1}`},
		{"raw_control_character", "POST", "/order", asJSON, "{\"user_id\":\"12\n3\"}"},
		{"nothing_given", "POST", "/order", asJSON, `{}`},
		{"nothing_given_at_orders", "POST", "/orders", asJSON, `{}`},
		{"empty_strings", "POST", "/order", asJSON, `{"user_id":"","product":"","quantity":0}`},
		{"too_long", "POST", "/order", asJSON, `{"user_id":"` + long(129) + `","product":"` + long(257) + `","quantity":1000001}`},
		{"wrong_types", "POST", "/order", asJSON, `{"user_id":123,"product":null,"quantity":"1"}`},
		{"wrong_types_again", "POST", "/order", asJSON, `{"user_id":{},"product":[],"quantity":true}`},
		{"fraction", "POST", "/order", asJSON, `{"user_id":"123","product":"Laptop","quantity":1.5}`},
		{"huge", "POST", "/order", asJSON, `{"user_id":"123","product":"Laptop","quantity":99999999999999999999}`},
		{"negative", "POST", "/order", asJSON, `{"user_id":"123","product":"Laptop","quantity":-1}`},
		{"unknown_field", "POST", "/order", asJSON, `{"user_id":"123","product":"Laptop","quantity":1,"price":1}`},
		{"wrong_case", "POST", "/order", asJSON, `{"User_ID":"123","product":"Laptop","quantity":1}`},
		{"twice", "POST", "/order", asJSON, `{"user_id":"1","user_id":"2","product":"Laptop","quantity":1}`},
		{"too_large", "POST", "/order", asJSON, `{"product":"` + long(64<<10) + `"}`},
		{"no_content_type", "POST", "/order", "", laptop},
		{"form", "POST", "/order", "application/x-www-form-urlencoded", laptop},
		{"latin1", "POST", "/order", "application/json; charset=iso-8859-1", laptop},
		{"get_order", "GET", "/order", "", ""},
		{"delete_orders", "DELETE", "/orders", "", ""},
		{"post_to_an_order", "POST", "/orders/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", asJSON, laptop},
		{"unknown_path", "GET", "/nowhere", "", ""},
		{"unknown_order", "GET", "/orders/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "", ""},
		{"no_id", "GET", "/orders/42", "", ""},
		{"unknown_parameter", "GET", "/orders?userid=123", "", ""},
		{"parameter_twice", "GET", "/orders?limit=1&limit=2", "", ""},
		{"limit_none", "GET", "/orders?limit=0", "", ""},
		{"limit_too_large", "GET", "/orders?limit=101", "", ""},
		{"limit_no_number", "GET", "/orders?limit=ten", "", ""},
		{"bad_cursor", "GET", "/orders?cursor=x", "", ""},
		{"empty_user_id", "GET", "/orders?user_id=", "", ""},
		{"user_id_without_value", "GET", "/orders?user_id", "", ""},
		{"empty_limit_and_cursor", "GET", "/orders?limit=&cursor=", "", ""},
		{"nul_in_user_id", "GET", "/orders?user_id=%00", "", ""},
		{"invalid_utf8_in_user_id", "GET", "/orders?user_id=%FF", "", ""},
		{"semicolon", "GET", "/orders?limit=1;cursor=x", "", ""},
		{"many_unknown_parameters", "GET", "/orders?" + unknown("%C3%BC%d=1&", 40), "", ""},
		{"many_unknown_fields", "POST", "/order", asJSON, `{` + unknown(`"x%d":1,`, 40) + `"user_id":1}`},
		{"long_unknown_field", "POST", "/order", asJSON, `{"` + strings.Repeat("ü", 65) + `":1}`},
		{"no_path", "CONNECT", "localhost:80", "", ""},
		{"control_in_path", "GET", "/nowhere/%C2%9B%7F", "", ""},
		{"no_orders", "GET", "/orders", "", ""},
		{"live", "GET", "/livez", "", ""},
		{"ready", "GET", "/readyz", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			orders := new(memory.Orders)
			h := newAPI(orders, orders)
			response := send(h, tt.method, tt.path, tt.contentType, tt.body)
			checkGolden(t, tt.name, dump(t, response))
			if placed := len(list(t, h, "/orders").Data); (response.StatusCode == http.StatusCreated) != (placed == 1) {
				t.Errorf("answered %s, and %d orders are kept", response.Status, placed)
			}
		})
	}
}
