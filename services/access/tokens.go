package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"example.com/orderflow/services/internal/author"
)

const (
	maxFile   = 1 << 20 // bytes of a file of tokens
	maxTokens = 10_000

	tokenPrefix = "orderflow_" // tells people, and scanners for secrets, what it is
	tokenBytes  = 32           // random: nobody can guess them, so a plain hash is enough
)

// hash is the SHA-256 of a secret.
type hash [sha256.Size]byte

// Token is a line of the file of tokens. The token itself is not kept.
type Token struct {
	Name string
	Role Role
	hash hash
}

// NewToken makes a token. The secret is for whoever sends requests; only its hash is kept.
func NewToken(name string, role Role) (t Token, secret string, err error) {
	if err := checkName(name); err != nil {
		return t, "", err
	}
	if !IsRole(role) {
		return t, "", fmt.Errorf("role %.20q: must be viewer or operator", role)
	}
	secret = tokenPrefix + newSecret()
	return Token{name, role, sha256.Sum256([]byte(secret))}, secret, nil
}

// String returns the line of the file: NAME ROLE HASH.
func (t Token) String() string {
	return fmt.Sprintf("%s %s %s", t.Name, t.Role, hex.EncodeToString(t.hash[:]))
}

func newSecret() string {
	var random [tokenBytes]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

func checkName(name string) error {
	if !author.IsClean(name) || strings.ContainsAny(name, " #") {
		return fmt.Errorf("name %.150q: must be 1 to 128 visible characters without spaces and #", name)
	}
	return nil
}

// ParseTokens reads a file of tokens: lines of NAME ROLE HASH, as [Token.String] returns
// them. Empty lines, and lines that begin with #, are left out. Its error names the line.
func ParseTokens(file io.Reader) ([]Token, error) {
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFile:
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	var tokens []Token
	lines := make(map[any]int) // by name and by hash
	for i, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		t, err := parseToken(words)
		if err == nil && len(tokens) == maxTokens {
			err = fmt.Errorf("there are more than %d tokens", maxTokens)
		}
		for _, key := range []any{t.Name, t.hash} {
			if first := lines[key]; err == nil && first > 0 {
				err = fmt.Errorf("name or hash are those of line %d, too", first)
			}
			lines[key] = i + 1
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func parseToken(words []string) (t Token, err error) {
	if len(words) != 3 {
		return t, fmt.Errorf("it has %d words; give a name, a role and the token's hash, as the command token new prints them", len(words))
	}
	t.Name, t.Role = words[0], Role(words[1])
	if err := checkName(t.Name); err != nil {
		return t, err
	}
	if !IsRole(t.Role) {
		return t, fmt.Errorf("role %.20q: must be viewer or operator", t.Role)
	}
	sum, err := hex.DecodeString(words[2])
	if err != nil || len(sum) != len(t.hash) {
		return t, fmt.Errorf("the hash of %s: must be 64 hexadecimal digits; a token itself has no place in the file", t.Name)
	}
	return Token{t.Name, t.Role, hash(sum)}, nil
}
