package main

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// AMQP 0-9-1: a frame is type (1 byte), channel (2), size (4), payload, 0xCE. A
// method's payload begins with its class and its number.
const (
	amqpFrameHeader = 7
	amqpFrameEnd    = 0xCE
	amqpMethod      = 1
	amqpClassBasic  = 60

	basicConsume = 20
	basicPublish = 40
	basicAck     = 80
	basicNack    = 120
)

var amqpGreeting = []byte("AMQP\x00\x00\x09\x01")

func amqpLength(b []byte) int {
	if b[0] == amqpGreeting[0] {
		switch n := min(len(b), len(amqpGreeting)); {
		case !bytes.Equal(b[:n], amqpGreeting[:n]):
			return -1
		case n < len(amqpGreeting):
			return 0
		}
		return len(amqpGreeting)
	}
	if len(b) < amqpFrameHeader {
		return 0
	}
	n := amqpFrameHeader + int(binary.BigEndian.Uint32(b[3:])) + 1
	if len(b) >= n && b[n-1] != amqpFrameEnd {
		return -1
	}
	return n
}

// amqpTap reads a connection to the broker. Of the queues only the one that is
// consumed last is remembered: our connections consume one at most.
type amqpTap struct {
	mu       sync.Mutex
	consumed string
}

func newAMQPTap() tap {
	t := new(amqpTap)
	return tap{request: t.request, answer: t.answer, length: amqpLength}
}

func (t *amqpTap) request(frame []byte) step {
	method, arguments := basicMethod(frame)
	switch method {
	case basicPublish:
		return stepPublish
	case basicConsume: // reserved (2), queue (short string), …
		if len(arguments) > 3 && len(arguments) >= 3+int(arguments[2]) {
			t.mu.Lock()
			t.consumed = string(arguments[3 : 3+int(arguments[2])])
			t.mu.Unlock()
		}
	case basicAck:
		t.mu.Lock()
		defer t.mu.Unlock()
		switch t.consumed {
		case mainQueue:
			return stepAck
		case deadLetterQueue:
			return stepLetterAck
		}
	}
	return ""
}

func (t *amqpTap) answer(frame []byte) step {
	switch method, _ := basicMethod(frame); method {
	case basicAck, basicNack:
		return stepConfirm
	}
	return ""
}

// basicMethod returns the number of the frame's method, if it is one of the
// class basic, and its arguments.
func basicMethod(frame []byte) (method uint16, arguments []byte) {
	if len(frame) < amqpFrameHeader+5 || frame[0] != amqpMethod ||
		binary.BigEndian.Uint16(frame[amqpFrameHeader:]) != amqpClassBasic {
		return 0, nil
	}
	return binary.BigEndian.Uint16(frame[amqpFrameHeader+2:]), frame[amqpFrameHeader+4 : len(frame)-1]
}
