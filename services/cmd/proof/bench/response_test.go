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
		{"without a length", "HTTP/1.1 200 OK\r\n\r\nhello", 0, "", "the connection ends"},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, "", "Content-Length"},
		{"length in words", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", 0, "", "Content-Length"},
		{"the connection ends", "HTTP/1.1 408 Timeout\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", 0, "", "status 408: the connection ends"},
		{"body cut off", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 0, "", "unexpected EOF"},
		{"chunk cut off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhe", 0, "", "unexpected EOF"},
		{"header cut off", "HTTP/1.1 200 OK\r\nContent-Le", 0, "", "malformed MIME header"},
		{"nothing", "", 0, "", "EOF"},
		{"older HTTP", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0, "", "the connection ends"},
		{"no status", "HTTP/1.1 OK\r\n\r\n", 0, "", "malformed HTTP"},
		{"other protocol", "SSH-2.0-x\r\n", 0, "", "malformed HTTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// The bytes of the next answer must stay in the reader.
			c := &conn{in: bufio.NewReader(iotest.OneByteReader(strings.NewReader(tt.text + tt.text)))}
			if tt.err != "" {
				c.in = bufio.NewReader(iotest.OneByteReader(strings.NewReader(tt.text)))
			}
			for range 2 {
				status, err := c.readResponse()
				if tt.err != "" {
					if err == nil || !strings.Contains(err.Error(), tt.err) {
						t.Errorf("got error %v, want %q", err, tt.err)
					}
					return
				}
				if err != nil || status != tt.status || c.body.String() != tt.body {
					t.Errorf("got %d, %q, %v; want %d, %q", status, c.body.String(), err, tt.status, tt.body)
				}
			}
		})
	}
}
