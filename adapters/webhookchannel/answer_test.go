package webhookchannel_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/webhookchannel"
	"example.com/orderflow/ports"
)

func TestSendReadsAnswers(t *testing.T) {
	date := time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC).Format("Mon, 02 Jan 2006 15:04:05 GMT") // two minutes on
	tests := []struct {
		name   string
		answer string // after "HTTP/1.1 "
		mark   string // see mark
		code   string
		text   string
		after  time.Duration // of RetryAfter
	}{
		{"200", "200 OK\r\nContent-Length: 2\r\n\r\nok", "", "200", "ok", 0},
		{"202 without body", "202 Accepted\r\nContent-Length: 0\r\n\r\n", "", "202", "", 0},
		{"299", "299 Other\r\nContent-Length: 0\r\n\r\n", "", "299", "", 0},
		{"200 after an early hint", "103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", "200", "", 0},
		{"200 with half a body", "200 OK\r\nContent-Length: 100\r\n\r\nhalf", "", "200", "half", 0},
		{"101", "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nabc", "refused", "101", "", 0},
		{"301", "301 Moved Permanently\r\nLocation: https://other.example.com/\r\nContent-Length: 0\r\n\r\n", "refused", "301", "", 0},
		{"302 with a malformed location", "302 Found\r\nLocation: :::\r\nContent-Length: 0\r\n\r\n", "refused", "302", "", 0},
		{"304", "304 Not Modified\r\n\r\n", "refused", "304", "", 0},
		{"308", "308 Permanent Redirect\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", "refused", "308", "", 0},
		{"400", "400 Bad Request\r\nContent-Length: 7\r\n\r\ntoo old", "refused", "400", "too old", 0},
		{"401", "401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "refused", "401", "", 0},
		{"404", "404 Not Found\r\nContent-Length: 0\r\n\r\n", "refused", "404", "", 0},
		{"408", "408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "postponed", "408", "", 0},
		{"410", "410 Gone\r\nRetry-After: 60\r\nContent-Length: 3\r\n\r\nbye", "gone", "410", "bye", 0},
		{"413", "413 Too Large\r\nContent-Length: 0\r\n\r\n", "refused", "413", "", 0},
		{"422", "422 Unprocessable\r\nContent-Length: 0\r\n\r\n", "refused", "422", "", 0},
		{"429 in seconds", "429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", "postponed", "429", "", 2 * time.Minute},
		{"429 without a time", "429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "postponed", "429", "", 0},
		{"500", "500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "refused", "500", "", 0},
		{"500 with a time", "500 Internal Server Error\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n", "refused", "500", "", 5 * time.Second},
		{"501", "501 Not Implemented\r\nContent-Length: 0\r\n\r\n", "refused", "501", "", 0},
		{"502", "502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "postponed", "502", "", 0},
		{"503 with a date", "503 Service Unavailable\r\nRetry-After: " + date + "\r\nContent-Length: 0\r\n\r\n", "postponed", "503", "", 2 * time.Minute},
		{"504", "504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n", "postponed", "504", "", 0},
		{"522", "522 \r\nContent-Length: 0\r\n\r\n", "postponed", "522", "", 0},
		{"599", "599 \r\nContent-Length: 0\r\n\r\n", "refused", "599", "", 0},
		{"999", "999 \r\nContent-Length: 0\r\n\r\n", "refused", "999", "", 0},
		{"no HTTP", "none", "postponed", "", "", 0},
		{"a status line that repeats the request", "x\r\n/hooks/s3cretpath?key=s3cretkey\r\n\r\n", "postponed", "", "", 0},
		{"half a header", "200 OK\r\nContent-Le", "postponed", "", "", 0},
		{"an endless header", "200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", "postponed", "", "", 0},
		{"a compressed body", "400 Bad Request\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", "refused", "400", "", 0},
		{"a body with control characters", "400 Bad Request\r\nContent-Length: 9\r\n\r\na\r\nb\x00\x1b[c\xff", "refused", "400", "a  b  [c?", 0},
		{"a long body", "400 Bad Request\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("é", 1000), "refused", "400", strings.Repeat("é", 512), 0},
		{"a body that repeats the path", "404 Not Found\r\nContent-Length: 41\r\n\r\nCannot POST /hooks/s3cretpath, not found!", "refused", "404", "Cannot POST …, not found!", 0},
		{"a body that repeats the query", "403 Forbidden\r\nContent-Length: 14\r\n\r\nkey s3cretkey.", "refused", "403", "key ….", 0},
		{"a body that repeats the path as JSON", "404 Not Found\r\nContent-Length: 28\r\n\r\n" + `{"p":"\/hooks\/s3cretpath",}`, "refused", "404", `{"p":"\/hooks\/…",}`, 0},
		{"a body that repeats the signing secret", "500 Oops\r\nContent-Length: 39\r\n\r\n" + secret, "refused", "500", "…", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				c := piped(t, func(conn net.Conn) {
					calls++
					readRequest(t, conn)
					io.WriteString(conn, "HTTP/1.1 "+tt.answer)
				})
				start := time.Now()
				answer, err := c.Send(t.Context(), outgoing(t, address))
				if took := time.Since(start); took > 0 {
					t.Errorf("took %v, want no wait", took)
				}
				if got := mark(err); got != tt.mark {
					t.Errorf("got %q (%v), want %q", got, err, tt.mark)
				}
				if want := (ports.Answer{Code: tt.code, Text: tt.text}); answer != want {
					t.Errorf("answer %+v, want %+v", answer, want)
				}
				if after, _ := ports.RetryDelay(err); after != tt.after {
					t.Errorf("retry after %v, want %v", after, tt.after)
				}
				if err != nil && (strings.Contains(err.Error(), "s3cret") || len(err.Error()) > 2<<10) {
					t.Errorf("the error shows a secret or is long: %v", err)
				}
				if err != nil && (!strings.HasSuffix(err.Error(), " (webhook to hooks.example.com)") || tt.code != "" && !strings.Contains(err.Error()[:min(len(err.Error()), 50)], "answered "+tt.code)) {
					t.Errorf("the error does not begin with the answer and end with the receiver: %v", err)
				}
				if calls != 1 {
					t.Errorf("%d connections, want 1", calls)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	tests := map[string]time.Duration{ // 0: none
		"":                               0,
		"0":                              0,
		"1":                              time.Second,
		" 30 ":                           30 * time.Second,
		"86400":                          24 * time.Hour,
		"86401":                          24 * time.Hour,
		"99999999999999999999999999":     24 * time.Hour,
		"-5":                             0,
		"1.5":                            0,
		"soon":                           0,
		"Fri, 20 Nov 2026 08:01:00 GMT":  time.Minute,
		"Friday, 20-Nov-26 08:01:00 GMT": time.Minute,
		"Fri Nov 20 08:01:00 2026":       time.Minute,
		"Fri, 20 Nov 2026 07:59:00 GMT":  0,
		"Fri, 20 Nov 2226 07:59:00 GMT":  24 * time.Hour,
		"Fri, 20 Nov 9999 07:59:00 GMT":  24 * time.Hour,
		"2026-11-20T08:01:00Z":           0,
	}
	for value, want := range tests {
		got, ok := webhookchannel.RetryAfter(value, now)
		if got != want || ok != (want > 0) {
			t.Errorf("%q: got %v, %v, want %v", value, got, ok, want)
		}
	}
}

// A slow receiver takes a bounded time.
func TestSendIsBoundedInTime(t *testing.T) {
	trickle := func(conn net.Conn, text string) {
		for {
			for _, c := range []byte(text) {
				if _, err := conn.Write([]byte{c}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}
	}
	tests := []struct {
		name  string
		serve func(conn net.Conn)
		mark  string
		code  string
		takes time.Duration
	}{
		{"never reads", func(conn net.Conn) { time.Sleep(time.Hour) }, "postponed", "", webhookchannel.SendTimeout},
		{"never answers", func(conn net.Conn) { io.Copy(io.Discard, conn) }, "postponed", "", webhookchannel.SendTimeout},
		{"answers byte by byte", func(conn net.Conn) {
			readRequest(t, conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			trickle(conn, "X: y\r\n")
		}, "postponed", "", webhookchannel.SendTimeout},
		{"hints without end", func(conn net.Conn) {
			readRequest(t, conn)
			trickle(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")
		}, "postponed", "", webhookchannel.SendTimeout},
		{"has a body without end", func(conn net.Conn) {
			readRequest(t, conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			trickle(conn, "x")
		}, "", "200", webhookchannel.BodyTimeout},
		{"refuses with a body that never comes", func(conn net.Conn) {
			readRequest(t, conn)
			io.WriteString(conn, "HTTP/1.1 500 OK\r\nContent-Length: 5\r\n\r\n")
			io.Copy(io.Discard, conn)
		}, "refused", "500", webhookchannel.BodyTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := piped(t, tt.serve)
				start := time.Now()
				answer, err := c.Send(t.Context(), outgoing(t, address))
				if took := time.Since(start); took != tt.takes {
					t.Errorf("took %v, want %v", took, tt.takes)
				}
				if mark(err) != tt.mark || answer.Code != tt.code {
					t.Errorf("got code %q and %v, want %q and an error that is %q", answer.Code, err, tt.code, tt.mark)
				}
			})
		})
	}
}

// A URL's secrets stand in its parts, in whatever form.
func TestSendHidesEachPartOfTheURL(t *testing.T) {
	for url, answer := range map[string]string{
		"http://hooks.example.com/x?s3cretkey&v=1":          "no s3cretkey",
		"http://hooks.example.com/x?v=1;token=s3cretkey":    "no s3cretkey",
		"http://hooks.example.com/x?key=s3cret%2Dkey":       "no s3cret-key",
		"http://hooks.example.com/x/s3cret%2Dpath/messages": "no s3cret-path",
	} {
		c := piped(t, func(conn net.Conn) {
			readRequest(t, conn)
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"+answer)
		})
		answer, err := c.Send(t.Context(), outgoing(t, url))
		if err == nil || strings.Contains(answer.Text+err.Error(), "s3cret") {
			t.Errorf("%s: got answer %q, error %v", url, answer.Text, err)
		}
	}
}

func TestSendReadsNoMoreThanItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrote := 0
		c := piped(t, func(conn net.Conn) {
			readRequest(t, conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
			for chunk := make([]byte, 1<<10); ; {
				n, err := conn.Write(chunk)
				wrote += n
				if err != nil {
					return
				}
			}
		})
		if _, err := c.Send(t.Context(), outgoing(t, address)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if most := 2 * webhookchannel.MaxBody; wrote > most {
			t.Errorf("%d bytes read, want at most %d", wrote, most)
		}
	})
}

func TestSendEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := piped(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Send(ctx, outgoing(t, address))
		if mark(err) != "postponed" || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: got %v, want the context's error, marked by Postpone, after 1s", time.Since(start), err)
		}
	})
}

// A receiver that has closed an idle connection costs no attempt.
func TestSendRepeatsOnAnotherConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		c := piped(t, func(conn net.Conn) {
			connections++
			last := connections == 2
			request := readRequest(t, conn)
			for name := range request.Header {
				if strings.HasPrefix(name, "Idempotency") {
					t.Errorf("header %s was sent", name)
				}
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			if !last {
				readRequest(t, conn) // and close the connection without an answer
			}
		})
		for range 2 {
			if _, err := c.Send(t.Context(), outgoing(t, address)); err != nil {
				t.Fatal(err)
			}
		}
		if connections != 2 {
			t.Errorf("%d connections, want 2", connections)
		}
	})
}
