package main

import (
	"bufio"
	"encoding/binary"

	"example.com/orderflow/services/cmd/proof/harness"
)

// AMQP 0-9-1: a frame is type (1 byte), channel (2), size (4), payload, 0xCE. A
// method's payload begins with its class (2) and its number (2).
const (
	amqpGreeting    = "AMQP\x00\x00\x09\x01"
	amqpFrameHeader = 7
	amqpFrameEnd    = 0xCE
	amqpMethod      = 1
	amqpClassBasic  = 60

	basicConsume = 20
	basicPublish = 40
	basicAck     = 80
	basicNack    = 120
)

func readAMQP(r *bufio.Reader) ([]byte, error) {
	return readMessage(r, amqpFrameHeader, func(header []byte) int {
		if string(header) == amqpGreeting[:amqpFrameHeader] {
			return len(amqpGreeting)
		}
		return amqpFrameHeader + int(binary.BigEndian.Uint32(header[3:])) + 1
	})
}

// newAMQPTap reads a connection to the broker. Each connection of the services
// consumes one queue at most.
func newAMQPTap() tap {
	ack := step("") // depends on the queue
	return tap{
		read: readAMQP,
		request: func(frame []byte) step {
			switch method, arguments := basicMethod(frame); method {
			case basicPublish:
				return stepPublish
			case basicConsume: // reserved (2), length of the queue's name (1), name, …
				ack = map[string]step{harness.MainQueue: stepAck, harness.DeadLetterQueue: stepLetterAck}[string(arguments[3:3+int(arguments[2])])]
			case basicAck:
				return ack
			}
			return ""
		},
		answer: func(frame []byte) step {
			if method, _ := basicMethod(frame); method == basicAck || method == basicNack {
				return stepConfirm
			}
			return ""
		},
	}
}

// basicMethod returns the number and the arguments of a method of class basic.
func basicMethod(frame []byte) (method uint16, arguments []byte) {
	if len(frame) < amqpFrameHeader+5 || frame[0] != amqpMethod ||
		binary.BigEndian.Uint16(frame[amqpFrameHeader:]) != amqpClassBasic {
		return 0, nil
	}
	return binary.BigEndian.Uint16(frame[amqpFrameHeader+2:]), frame[amqpFrameHeader+4 : len(frame)-1]
}
