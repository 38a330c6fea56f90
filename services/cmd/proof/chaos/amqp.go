package main

import (
	"bytes"
	"encoding/binary"
	"sync"

	"example.com/orderflow/services/cmd/proof/harness"
)

// AMQP 0-9-1: a frame is type (1 byte), channel (2), size (4), payload, 0xCE. A
// method's payload begins with its class (2) and its number (2).
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
		if n := min(len(b), len(amqpGreeting)); !bytes.Equal(b[:n], amqpGreeting[:n]) {
			return -1
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

// amqpTap reads a connection to the broker. Each connection of the services
// consumes one queue at most.
type amqpTap struct {
	mu       sync.Mutex
	consumed string // queue
}

func newAMQPTap() tap {
	t := new(amqpTap)
	return tap{request: t.request, answer: amqpAnswer, length: amqpLength}
}

func (t *amqpTap) request(frame []byte) step {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch method, arguments := basicMethod(frame); method {
	case basicPublish:
		return stepPublish
	case basicConsume: // reserved (2), length of the queue's name (1), name, …
		if len(arguments) >= 3 && len(arguments) >= 3+int(arguments[2]) {
			t.consumed = string(arguments[3 : 3+int(arguments[2])])
		}
	case basicAck:
		switch t.consumed {
		case harness.MainQueue:
			return stepAck
		case harness.DeadLetterQueue:
			return stepLetterAck
		}
	}
	return ""
}

func amqpAnswer(frame []byte) step {
	if method, _ := basicMethod(frame); method == basicAck || method == basicNack {
		return stepConfirm
	}
	return ""
}

// basicMethod returns the number and the arguments of a method of class basic.
func basicMethod(frame []byte) (method uint16, arguments []byte) {
	if len(frame) < amqpFrameHeader+5 || frame[0] != amqpMethod ||
		binary.BigEndian.Uint16(frame[amqpFrameHeader:]) != amqpClassBasic {
		return 0, nil
	}
	return binary.BigEndian.Uint16(frame[amqpFrameHeader+2:]), frame[amqpFrameHeader+4 : len(frame)-1]
}
