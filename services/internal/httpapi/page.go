package httpapi

import (
	"context"
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

// itemMemory is what an item of a page may take on its way from the store to the
// answer.
const itemMemory = 8 << 10

// ReservePage reserves memory for a page of so many items; see [Reserve].
func ReservePage(ctx context.Context, w http.ResponseWriter, limit int) error {
	return Reserve(ctx, w, limit*itemMemory)
}

// NoteUnreadable says in the answer's header Unreadable-Records how many records
// a list has passed over, for they can't be read.
func NoteUnreadable(w http.ResponseWriter, records int) {
	if records > 0 {
		w.Header().Set("Unreadable-Records", strconv.Itoa(records))
	}
}

// WritePage answers with one page of a list, each item as show shows it, the
// cursor of the next page, empty on the last, and how many records it has passed
// over.
func WritePage[T, JSON any](w http.ResponseWriter, items []T, nextCursor string, unreadable int, show func(T) JSON) error {
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
	NoteUnreadable(w, unreadable)
	return WriteJSON(w, http.StatusOK, answer)
}
