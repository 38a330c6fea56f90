package cmd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const laptop = `{"user_id":"1","product":"p","quantity":1}`

// placeOrders places orders from several clients at once, and returns the product of
// each by its id.
func placeOrders(t *testing.T, address string, clients, orders int) map[string]string {
	t.Helper()
	placed := make(map[string]string)
	var mu sync.Mutex
	var wg sync.WaitGroup
	numbers := make(chan int, orders)
	for n := range orders {
		numbers <- n
	}
	close(numbers)
	for c := range clients {
		wg.Go(func() {
			for n := range numbers {
				product := fmt.Sprintf("Laptop %d", n)
				var order struct{ ID string }
				body := fmt.Sprintf(`{"user_id":"%d","product":%q,"quantity":%d}`, c, product, n+1)
				status, err := fetch("POST", "http://"+address+"/order", body, &order)
				if err != nil || status != http.StatusCreated {
					t.Errorf("place order: %d, %v", status, err)
					return
				}
				mu.Lock()
				placed[order.ID] = product
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return placed
}

func place(t *testing.T, address string) (id string) {
	t.Helper()
	for id = range placeOrders(t, address, 1, 1) {
		return id
	}
	t.FailNow()
	return ""
}

// notificationLines counts the lines of notifications in a JSON log, by order.
func notificationLines(log string) map[string]int {
	lines := make(map[string]int)
	for line := range strings.Lines(log) {
		var l struct {
			Msg     string
			OrderID string `json:"order_id"`
		}
		// A killed process may leave a part of a line.
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "Received order" {
			lines[l.OrderID]++
		}
	}
	return lines
}

// sent returns the number of notifications recorded for the order.
func sent(t *testing.T, address, id string) int {
	t.Helper()
	var list struct{ Data []json.RawMessage }
	if _, err := fetch("GET", "http://"+address+"/notifications?state=sent&order_id="+id, "", &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Data)
}

// sentOnce returns when the order's notification was sent, and an error unless exactly one
// is recorded.
func sentOnce(address, id string) (at time.Time, err error) {
	var sent struct {
		Data []struct {
			EventID string `json:"event_id"`
			Channel string
			SentAt  time.Time `json:"sent_at"`
		}
	}
	if _, err := fetch("GET", "http://"+address+"/notifications?state=sent&order_id="+id, "", &sent); err != nil {
		return at, err
	}
	if len(sent.Data) != 1 || sent.Data[0].Channel != "log" || sent.Data[0].EventID != id+"-created" {
		return at, fmt.Errorf("order %s: sent %+v", id, sent)
	}
	return sent.Data[0].SentAt, nil
}
