package httpapi

import (
	"net/http"
	"strconv"

	"example.com/orderflow/domain"
)

// Limit reads the query parameter limit: a whole number from 1 to most, usual
// if there is none.
func Limit(text string, usual, most int) (int, error) {
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, Invalid(domain.FieldError{Field: "limit", Reason: "must be a whole number from 1 to " + strconv.Itoa(most)})
	}
	return n, nil
}

// WritePage answers with one page of a list, each item as show shows it, and
// the cursor of the next page, empty on the last.
func WritePage[T, JSON any](w http.ResponseWriter, items []T, nextCursor string, show func(T) JSON) {
	answer := struct {
		Data       []JSON  `json:"data"`
		HasMore    bool    `json:"has_more"`
		NextCursor *string `json:"next_cursor"`
	}{Data: make([]JSON, len(items))}
	for i, item := range items {
		answer.Data[i] = show(item)
	}
	if nextCursor != "" {
		answer.HasMore, answer.NextCursor = true, &nextCursor
	}
	WriteJSON(w, http.StatusOK, answer)
}
