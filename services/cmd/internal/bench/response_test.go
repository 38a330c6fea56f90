package main

import (
	"bufio"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadResponse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		status     int
		body       string
		err        string // part of the error; empty: none
	}{
		{"with a length", "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello", 201, "hello", ""},
		{"length in other case", "HTTP/1.1 200 OK\r\ncontent-length:  5 \r\nX: y\r\n\r\nhello", 200, "hello", ""},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", ""},
		{"no reason", "HTTP/1.1 503 \r\nContent-Length: 2\r\n\r\nno", 503, "no", ""},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, "hello", ""},
		{"without a length", "HTTP/1.1 200 OK\r\n\r\nhello", 0, "", "without a length"},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, "", `"-1" is no length`},
		{"length in words", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", 0, "", `"five" is no length`},
		{"the connection ends", "HTTP/1.1 408 Timeout\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", 0, "", "408, and the connection ends"},
		{"body cut off", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 0, "", "unexpected EOF"},
		{"chunk cut off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhe", 0, "", "unexpected EOF"},
		{"header cut off", "HTTP/1.1 200 OK\r\nContent-Le", 0, "", "unexpected EOF"},
		{"nothing", "", 0, "", "EOF"},
		{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", 0, "", "after the last chunk"},
		{"older HTTP", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0, "", "no status line"},
		{"no status", "HTTP/1.1 OK\r\n\r\n", 0, "", "no status line"},
		{"other protocol", "SSH-2.0-x\r\n", 0, "", "no status line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// What comes later must stay for the next answer.
			in := bufio.NewReader(iotest.OneByteReader(strings.NewReader(tt.text)))
			if tt.err == "" {
				in = bufio.NewReader(iotest.OneByteReader(strings.NewReader(tt.text + tt.text)))
			}
			status, body, err := readResponse(in, nil)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || status != tt.status || string(body) != tt.body {
				t.Errorf("got %d, %q, %v; want %d, %q", status, body, err, tt.status, tt.body)
			}
			status, body, err = readResponse(in, body[:0])
			if err != nil || status != tt.status || string(body) != tt.body {
				t.Errorf("the next one: got %d, %q, %v; want %d, %q", status, body, err, tt.status, tt.body)
			}
		})
	}
}
