package main

// splitter cuts a stream of bytes into messages.
type splitter struct {
	// length returns how long the message is that begins here, 0 if that needs
	// more bytes, and less than 0 if this is no message.
	length func([]byte) int

	rest []byte
	lost bool // the stream is not understood: it passes as it comes
}

// longestMessage is more than any message is long: MongoDB's largest.
const longestMessage = 64 << 20

func (s *splitter) add(b []byte) { s.rest = append(s.rest, b...) }

// next returns the next message that is there as a whole; nil: none. It is
// valid until the next add.
func (s *splitter) next() []byte {
	if len(s.rest) == 0 {
		s.rest = nil // a long message's memory is not kept
		return nil
	}
	n := len(s.rest)
	if !s.lost {
		n = s.length(s.rest)
		if n < 0 || n > longestMessage {
			s.lost, n = true, len(s.rest)
		}
	}
	if n == 0 || n > len(s.rest) {
		return nil
	}
	message := s.rest[:n:n]
	s.rest = s.rest[n:]
	return message
}
