package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/domain"
)

// Limit parses the query parameter limit: a whole number from 1 to maxLimit. An
// empty text means defaultLimit.
func Limit(text string, defaultLimit, maxLimit int) (int, error) {
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, Invalid(domain.FieldError{Field: "limit", Reason: "must be a whole number from 1 to " + strconv.Itoa(maxLimit)})
	}
	return n, nil
}

const (
	itemMemory  = 8 << 10     // bytes that an item of a page takes until it is encoded, at most
	pageTimeout = time.Second // how long a page waits for memory
)

// ReservePage reserves memory for a page of limit items before the caller loads
// them. It waits for free memory, 1 s at most. [WritePage] reduces the reservation
// to the answer's size.
func ReservePage(ctx context.Context, w http.ResponseWriter, limit int) error {
	e, ok := w.(*exchange)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	if !e.resize(limit*itemMemory, func(n int) bool { return memory.wait(ctx, n) }) {
		return outOfMemory()
	}
	return nil
}

// UnreadableHeader has the number of unreadable records that a list has skipped.
const UnreadableHeader = "Unreadable-Records"

// NoteUnreadable sets the answer's [UnreadableHeader] to the number of
// unreadable records that a list has skipped, unless it is 0.
func NoteUnreadable(w http.ResponseWriter, records int) {
	if records > 0 {
		w.Header().Set(UnreadableHeader, strconv.Itoa(records))
	}
}

// WritePage answers r with one page of a list, whose items show converts. nextCursor
// is empty on the last page. On others the header Link has the next page, too.
// WritePage passes unreadable to [NoteUnreadable].
func WritePage[T, JSON any](w http.ResponseWriter, r *http.Request, items []T, nextCursor string, unreadable int, show func(T) JSON) error {
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
		linkNext(w.Header(), r.URL.RawQuery, nextCursor)
	}
	NoteUnreadable(w, unreadable)
	return WriteJSON(w, http.StatusOK, answer)
}

// linkNext sets the header Link (RFC 8288) to the next page of the list with this query.
// The reference has only a query, which clients resolve against the URL of their
// request. So it is right behind any proxy. A query over 4 KiB gets no link: the body
// has the cursor, too.
func linkNext(h http.Header, query, nextCursor string) {
	const limit = 4 << 10
	if len(query) > limit {
		return
	}
	var next strings.Builder
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, err := unescapePair(pair); pair != "" && err == nil && name != cursorParameter {
			next.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(value) + "&")
		}
	}
	h.Set("Link", "<?"+next.String()+cursorParameter+"="+url.QueryEscape(nextCursor)+`>; rel="next"`)
}

const cursorParameter = "cursor"
