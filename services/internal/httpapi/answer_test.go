package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// What WriteLarge writes in parts decodes to the content.
func FuzzWriteLarge(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("\xff\x00"))
	f.Add([]byte("a\"\\\n<&>\u0000\u007f\u0085\u2028😀"))
	f.Add([]byte(strings.Repeat("x", 32<<10-1) + "😀" + strings.Repeat("界", 30_000)))
	f.Fuzz(func(t *testing.T, content []byte) {
		w := httptest.NewRecorder()
		WriteLarge(w, map[string]int{"id": 1}, "body", content)
		var got struct {
			ID     int
			Body   *string
			Base64 *[]byte `json:"body_base64"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.ID != 1 {
			t.Fatalf("%v in %.200q", err, w.Body)
		}
		if utf8.Valid(content) {
			if got.Body == nil || *got.Body != string(content) {
				t.Errorf("%.200q is written as %.200q", content, w.Body)
			}
		} else if got.Base64 == nil || !bytes.Equal(*got.Base64, content) {
			t.Errorf("%.200q is written as %.200q", content, w.Body)
		}
		if nextControl(w.Body.Bytes()) >= 0 {
			t.Errorf("%.200q contains a control character", w.Body)
		}
	})
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 2, ""}, {"ab", 2, "ab"}, {"abc", 2, "ab…"}, {"éé", 2, "éé"}, {"ééé", 2, "éé…"}, {"a\xffb", 3, "a�b"}, {"a\xff\xfeb", 2, "a�…"},
	} {
		if got := cut(tt.text, tt.limit); got != tt.want {
			t.Errorf("cut(%q, %d): got %q, want %q", tt.text, tt.limit, got, tt.want)
		}
	}
}
