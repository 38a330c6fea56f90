package access

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"testing/iotest"
)

const someHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestNewToken(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		token, secret, err := NewToken("ann@desk", Operator)
		sum := sha256.Sum256([]byte(secret))
		if err != nil || token.String() != "ann@desk operator "+hex.EncodeToString(sum[:]) || !strings.HasPrefix(secret, tokenPrefix) || len(secret) != len(tokenPrefix)+43 || seen[secret] {
			t.Fatalf("%v, %q, %v", token, secret, err)
		}
		seen[secret] = true
	}
	for name, role := range map[string]Role{"": Viewer, "a b": Viewer, "a\tb": Viewer, "#a": Viewer, "a\x00": Viewer, "a\u202eb": Viewer, strings.Repeat("a", 129): Viewer, "ann": "admin", "bob": "", "cy": "Viewer"} {
		if token, secret, err := NewToken(name, role); err == nil || secret != "" {
			t.Errorf("%q %q: got %v", name, role, token)
		}
	}
}

func TestParseTokens(t *testing.T) {
	other := strings.Replace(someHash, "9", "8", 1)
	for name, tt := range map[string]struct {
		text string
		want string // NAME ROLE of each, or the error's begin
	}{
		"empty":             {"", ""},
		"comments":          {"# a\n\n   # b\n#\n", ""},
		"one":               {"ann viewer " + someHash, "ann viewer"},
		"two":               {"ann viewer " + someHash + "\nbob operator " + other + "\n", "ann viewer, bob operator"},
		"of Windows":        {"ann viewer " + someHash + "\r\n# x\r\nbob operator " + other + "\r\n", "ann viewer, bob operator"},
		"white space":       {"  ann\tviewer   " + strings.ToUpper(someHash) + " ", "ann viewer"},
		"another word":      {"ann viewer " + someHash + " x", "error: line 1: it has 4 words"},
		"a comment behind":  {"ann viewer " + someHash + " # x", "error: line 1: it has 5 words"},
		"no hash":           {"\nann viewer", "error: line 2: it has 2 words"},
		"another role":      {"ann admin " + someHash, `error: line 1: role "admin": must be viewer or operator`},
		"role in capitals":  {"ann Viewer " + someHash, "error: line 1: role"},
		"the token itself":  {"ann viewer " + tokenPrefix + "c2VjcmV0", "error: line 1: the hash of ann: must be 64 hexadecimal digits; a token itself has no place"},
		"a short hash":      {"ann viewer " + someHash[2:], "error: line 1: the hash of ann"},
		"a long hash":       {"ann viewer " + someHash + "00", "error: line 1: the hash of ann"},
		"a name twice":      {"ann viewer " + someHash + "\n#\nann operator " + other, "error: line 3: name or hash are those of line 1"},
		"a hash twice":      {"ann viewer " + someHash + "\nbob operator " + strings.ToUpper(someHash), "error: line 2: name or hash are those of line 1"},
		"an unclean name":   {"a\x01n viewer " + someHash, "error: line 1: name"},
		"a half line":       {"ann viewer " + someHash + "\nbob oper", "error: line 2: it has 2 words"},
		"too many bytes":    {strings.Repeat("#", maxFile+1), "error: it has more than 1048576 bytes"},
		"as many as may be": {strings.Repeat("#", maxFile), ""},
	} {
		tokens, err := ParseTokens(strings.NewReader(tt.text))
		var got []string
		for _, token := range tokens {
			got = append(got, token.Name+" "+string(token.Role))
		}
		text := strings.Join(got, ", ")
		if err != nil {
			text = "error: " + err.Error()
		}
		if text != tt.want && !(err != nil && tt.want != "" && strings.HasPrefix(text, tt.want)) {
			t.Errorf("%s: got %q, want %q", name, text, tt.want)
		}
		if strings.Contains(text, "c2VjcmV0") {
			t.Errorf("%s: the error shows the token: %s", name, text)
		}
	}
	if _, err := ParseTokens(iotest.ErrReader(iotest.ErrTimeout)); err == nil {
		t.Error("a file that can't be read has no error")
	}
	var many strings.Builder
	for i := range maxTokens + 1 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		many.WriteString(hex.EncodeToString(sum[:6]) + " viewer " + hex.EncodeToString(sum[:]) + "\n")
	}
	if _, err := ParseTokens(strings.NewReader(many.String())); err == nil || !strings.Contains(err.Error(), "line 10001: there are more than 10000 tokens") {
		t.Errorf("too many: %v", err)
	}
}

// What is parsed has clean names, and reads the same when it is written. Errors show no
// long word, which could be a token.
func FuzzParseTokens(f *testing.F) {
	for _, text := range []string{"", "# x\nann viewer " + someHash, "ann viewer " + someHash + "\r\nbob operator " + someHash[:62] + "00\n", "ann admin x", "a\x00 viewer " + someHash, "ann viewer orderflow_xyz"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := ParseTokens(strings.NewReader(text))
		if err != nil {
			if tokens != nil || len(err.Error()) > 2000 || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, %q", tokens, err)
			}
			return
		}
		var lines strings.Builder
		names := map[string]bool{}
		for _, token := range tokens {
			if checkName(token.Name) != nil || !IsRole(token.Role) || names[token.Name] {
				t.Errorf("%q is accepted", token.Name)
			}
			names[token.Name] = true
			lines.WriteString(token.String() + "\n")
		}
		again, err := ParseTokens(strings.NewReader(lines.String()))
		if err != nil || len(again) != len(tokens) {
			t.Fatalf("%q: %v", lines.String(), err)
		}
		for i := range again {
			if again[i] != tokens[i] {
				t.Errorf("%v was %v", again[i], tokens[i])
			}
		}
	})
}
