package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table is a section of the report.
type table struct {
	title   string
	note    string
	head    []string // a space at the beginning aligns the column to the left
	rows    [][]string
	targets []target
}

// target is a figure that should be reached.
type target struct {
	what    string
	figure  string
	reached bool
	unknown bool // not measured
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// least adds a target: a figure of at least want.
func (t *table) least(what string, figure, want float64, show func(float64) string) {
	t.targets = append(t.targets, target{what, show(figure), figure >= want, math.IsNaN(figure)})
}

// most adds a target: a figure of at most want.
func (t *table) most(what string, figure, want float64, show func(float64) string) {
	t.targets = append(t.targets, target{what, show(figure), figure <= want, math.IsNaN(figure)})
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "## %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(w, "%s\n\n", t.note)
	}
	printRows(w, t.head, t.rows)
	if len(t.targets) == 0 {
		return
	}
	var rows [][]string
	for _, target := range t.targets {
		verdict := "missed"
		switch {
		case target.unknown:
			verdict = "not measured"
		case target.reached:
			verdict = "reached"
		}
		rows = append(rows, []string{target.what, target.figure, verdict})
	}
	printRows(w, []string{" target", "measured", " "}, rows)
}

// printRows prints a Markdown table whose columns line up as plain text too.
func printRows(w io.Writer, head []string, rows [][]string) {
	left := make([]bool, len(head))
	width := make([]int, len(head))
	titles := make([]string, len(head))
	for i, title := range head {
		titles[i], left[i] = strings.CutPrefix(title, " ")
		width[i] = max(utf8.RuneCountInString(titles[i]), 3)
		for _, row := range rows {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	line := func(cells []string) {
		for i, cell := range cells {
			space := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if left[i] {
				cell += space
			} else {
				cell = space + cell
			}
			fmt.Fprintf(w, "| %s ", cell)
		}
		fmt.Fprintln(w, "|")
	}
	line(titles)
	rules := make([]string, len(head))
	for i := range head {
		rules[i] = strings.Repeat("-", width[i])
		if !left[i] {
			rules[i] = rules[i][1:] + ":"
		}
	}
	line(rules)
	for _, row := range rows {
		line(row)
	}
	fmt.Fprintln(w)
}

// nothing stands for a figure that was not measured. The functions below format
// figures.
const nothing = "–"

// whole formats without decimals, with a comma between thousands.
func whole(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nothing
	}
	digits := strconv.FormatFloat(math.Abs(x), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if x < 0 {
		return "-" + digits
	}
	return digits
}

// short formats with about three digits.
func short(x float64) string {
	switch size := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return nothing
	case size >= 99.95:
		return whole(x)
	case size >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
}

func unit(show func(float64) string, unit string) func(float64) string {
	return func(x float64) string {
		if s := show(x); s != nothing {
			return s + unit
		}
		return nothing
	}
}

var (
	times   = unit(short, "×")
	ms      = unit(short, " ms")
	seconds = unit(short, " s")
	mb      = unit(short, " MB")
	percent = func(x float64) string { return unit(whole, " %")(x * 100) }
)

// spread formats the range of the samples.
func spread(samples []float64, show func(float64) string) string {
	known := slices.DeleteFunc(slices.Clone(samples), math.IsNaN)
	if len(known) == 0 {
		return nothing
	}
	return show(slices.Min(known)) + "–" + show(slices.Max(known))
}
