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
	targets [][]string // figures that should be reached
}

// row adds a row. A cell may be a text, a number, or several cells.
func (t *table) row(cells ...any) {
	var row []string
	for _, cell := range cells {
		switch cell := cell.(type) {
		case []string:
			row = append(row, cell...)
		case int:
			row = append(row, whole(float64(cell)))
		default:
			row = append(row, fmt.Sprint(cell))
		}
	}
	t.rows = append(t.rows, row)
}

// target adds a figure that should be reached.
func (t *table) target(what, figure string, reached bool) {
	verdict := "missed"
	switch {
	case figure == nothing:
		verdict = "not measured"
	case reached:
		verdict = "reached"
	}
	t.targets = append(t.targets, []string{what, figure, verdict})
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "## %s\n\n%s\n\n", t.title, t.note)
	printRows(w, t.head, t.rows)
	if len(t.targets) > 0 {
		printRows(w, []string{" target", "measured", " "}, t.targets)
	}
}

// printRows prints a Markdown table whose columns line up as plain text too.
func printRows(w io.Writer, head []string, rows [][]string) {
	titles, rules := make([]string, len(head)), make([]string, len(head))
	widths := make([]int, len(head)) // negative: aligned to the left
	for i, title := range head {
		text, left := strings.CutPrefix(title, " ")
		width := max(utf8.RuneCountInString(text), 3)
		for _, row := range rows {
			width = max(width, utf8.RuneCountInString(row[i]))
		}
		titles[i], rules[i], widths[i] = text, strings.Repeat("-", width-1)+":", width
		if left {
			rules[i], widths[i] = strings.Repeat("-", width), -width
		}
	}
	for _, row := range slices.Concat([][]string{titles, rules}, rows) {
		for i, cell := range row {
			fmt.Fprintf(w, "| %*s ", widths[i], cell)
		}
		fmt.Fprintln(w, "|")
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
	digits := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// short formats with about three digits.
func short(x float64) string {
	switch {
	case x >= 99.95 || math.IsNaN(x) || math.IsInf(x, 0):
		return whole(x)
	case x >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
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
	if len(samples) == 0 {
		return nothing
	}
	return show(slices.Min(samples)) + "–" + show(slices.Max(samples))
}
