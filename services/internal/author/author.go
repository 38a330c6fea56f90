// Package author has the rule for the names of people who decide something.
package author

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const limit = 128

// Must is the fault of a name that Clean would change.
const Must = "must be 1 to 128 visible characters"

// Clean returns the name as stores keep it: 1 to 128 visible characters.
func Clean(name string) string {
	visible := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	characters := []rune(strings.TrimSpace(visible))
	characters = characters[:min(len(characters), limit)]
	return cmp.Or(strings.TrimSpace(string(characters)), "unknown")
}

// IsClean reports whether the name is as Clean returns it.
func IsClean(name string) bool { return name == Clean(name) }
