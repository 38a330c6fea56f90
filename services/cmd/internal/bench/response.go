package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"
)

// conn is a client's connection: HTTP/1.1, kept alive, one request at a time.
// It does as little as can be, for it shares the cores with what is measured.
type conn struct {
	net.Conn
	in   *bufio.Reader
	body []byte // of the last answer
}

func dial(address string, until time.Time) (*conn, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(until); err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}, nil
}

// do sends a request and returns the answer; the body is valid until the next.
func (c *conn) do(request []byte) (status int, body []byte, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, nil, fmt.Errorf("send a request: %w", err)
	}
	status, c.body, err = readResponse(c.in, c.body[:0])
	if err != nil {
		return 0, nil, fmt.Errorf("read an answer: %w", err)
	}
	return status, c.body, nil
}

// readResponse reads an answer, and appends its body to body. It refuses one
// that does not say where it ends, or that ends the connection.
func readResponse(in *bufio.Reader, body []byte) (int, []byte, error) {
	line, err := readLine(in)
	if err != nil {
		return 0, nil, err
	}
	after, http := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !http || len(after) < 3 {
		return 0, nil, fmt.Errorf("%q is no status line", line)
	}
	status, err := strconv.Atoi(string(after[:3]))
	if err != nil {
		return 0, nil, fmt.Errorf("%q is no status line", line)
	}
	length, chunked := -1, false
	for {
		line, err := readLine(in)
		if err != nil {
			return 0, nil, err
		}
		if len(line) == 0 {
			break
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(field, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return 0, nil, fmt.Errorf("%q is no length", value)
			}
		case bytes.EqualFold(field, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(field, []byte("Connection")) && bytes.EqualFold(value, []byte("close")):
			return 0, nil, fmt.Errorf("status %d, and the connection ends", status)
		}
	}
	switch {
	case chunked:
		body, err = readChunks(in, body)
	case length < 0:
		err = fmt.Errorf("status %d without a length", status)
	default:
		begin := len(body)
		body = append(body, make([]byte, length)...)
		_, err = io.ReadFull(in, body[begin:])
	}
	return status, body, err
}

func readChunks(in *bufio.Reader, body []byte) ([]byte, error) {
	buffer := bytes.NewBuffer(body)
	if _, err := buffer.ReadFrom(httputil.NewChunkedReader(in)); err != nil {
		return nil, err
	}
	// There are no trailers, only the line at the end.
	line, err := readLine(in)
	if err == nil && len(line) > 0 {
		err = fmt.Errorf("%q after the last chunk", line)
	}
	return buffer.Bytes(), err
}

func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == io.EOF && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
