package ports

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// DeadLetterGroups counts dead letters by their subscriptions and the groups of their
// reasons.
type DeadLetterGroups struct {
	Groups []DeadLetterGroup // at most MaxDeadLetterGroups
	Total  int               // the letters of all groups
	More   bool              // there are more groups
}

// MaxDeadLetterGroups bounds the groups that [DeadLetters].Groups returns.
const MaxDeadLetterGroups = 200

// DeadLetterGroup counts the dead letters of one subscription whose latest failures have
// reasons of one group.
type DeadLetterGroup struct {
	Subscription string
	Reason       string // as [ReasonGroup] returns it
	Count        int
	Oldest       time.Time // by Since: UTC, to the millisecond, as Newest
	Newest       time.Time
}

// The bounds of a reason's group.
const (
	maxGroupedReason = 1000 // bytes of a reason that count
	maxGroup         = 100  // characters of a group
	maxGroupedWord   = 40   // characters
)

var (
	quotedText   = regexp.MustCompile("\"[^\"]*\"|`[^`]*`")
	statusCode   = regexp.MustCompile(`^[1-9][0-9]{2}$`)
	enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}$`) // RFC 3463
)

// ReasonGroup returns what a failure's reason has in common with others: its words, without
// what differs from message to message. An ellipsis stands for each text in quotes, each
// long word, and each word with a digit, an at sign or a URL. The word's round brackets stay. The
// first status code stays, and so do the enhanced codes of mail. The group of a group is itself.
func ReasonGroup(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, reason[:min(len(reason), maxGroupedReason)])
	var group strings.Builder
	size, last, hasCode := 0, "", false
	for word := range strings.FieldsSeq(quotedText.ReplaceAllStringFunc(reason, gapInQuotes)) {
		core := strings.Trim(word, `()[]{}<>"'.,;:!?`)
		switch {
		case enhancedCode.MatchString(core):
		case !hasCode && statusCode.MatchString(core):
			hasCode = true
		case strings.ContainsFunc(core, unicode.IsDigit), strings.Contains(core, "@"), strings.Contains(core, "://"), utf8.RuneCountInString(core) > maxGroupedWord:
			word = gapWithBrackets(word)
		}
		space := " "
		if strings.TrimLeft(last, "(") == gap && strings.TrimRight(word, ")") == gap { // one stands for all in a row
			space, word = "", strings.TrimPrefix(word, gap)
		}
		if word == "" {
			continue
		}
		if last == "" {
			space = ""
		}
		if size += utf8.RuneCountInString(space + word); size > maxGroup {
			break
		}
		group.WriteString(space + word)
		last = word
	}
	return group.String()
}

const gap = "…"

// gapInQuotes returns the gap in the quotes that the text has: others could make a pair with
// one that has none.
func gapInQuotes(quoted string) string { return quoted[:1] + gap + quoted[:1] }

// gapWithBrackets returns the gap with the brackets that open before the word and close after
// it.
func gapWithBrackets(word string) string {
	core := strings.TrimLeft(word, "(")
	open := len(word) - len(core)
	core = strings.TrimRight(core, `.,;:!?"'`)
	return strings.Repeat("(", open) + gap + strings.Repeat(")", len(core)-len(strings.TrimRight(core, ")")))
}
