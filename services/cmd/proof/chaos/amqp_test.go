package main

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/services/cmd/proof/harness"
)

// method is a frame of one method, as a broker sends it.
func method(channel, class, number uint16, arguments ...byte) []byte {
	frame := binary.BigEndian.AppendUint16([]byte{amqpMethod}, channel)
	frame = binary.BigEndian.AppendUint32(frame, uint32(4+len(arguments)))
	frame = binary.BigEndian.AppendUint16(frame, class)
	frame = binary.BigEndian.AppendUint16(frame, number)
	return append(append(frame, arguments...), amqpFrameEnd)
}

func shortText(s string) []byte { return append([]byte{byte(len(s))}, s...) }

func longText(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// clientBytes returns what the library writes while use uses a channel. The broker
// here sends only the answers that the library waits for.
func clientBytes(t *testing.T, use func(*amqp.Channel) error) []byte {
	t.Helper()
	client, broker := net.Pipe()
	var written []byte
	var wg sync.WaitGroup
	wg.Go(func() { written = answerAll(broker, amqpLength, brokerAnswer) })
	connection, err := amqp.Open(client, amqp.Config{
		Heartbeat: time.Hour, SASL: []amqp.Authentication{&amqp.PlainAuth{Username: "u", Password: "p"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	channel, err := connection.Channel()
	if err == nil {
		err = use(channel)
	}
	if err != nil {
		t.Error(err)
	}
	if err := connection.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	return written
}

func brokerAnswer(frame []byte) []byte {
	if frame[0] == amqpGreeting[0] { // connection.start
		return method(0, 10, 10, slices.Concat([]byte{0, 9}, longText(""), longText("PLAIN"), longText("en_US"))...)
	}
	if frame[0] != amqpMethod {
		return nil
	}
	channel := binary.BigEndian.Uint16(frame[1:])
	class, number := binary.BigEndian.Uint16(frame[7:]), binary.BigEndian.Uint16(frame[9:])
	switch [2]uint16{class, number} {
	case [2]uint16{10, 11}: // start-ok: tune
		return method(0, 10, 30, 0, 0, 0, 2, 0, 0, 0, 0)
	case [2]uint16{10, 40}: // open: open-ok
		return method(0, 10, 41, 0)
	case [2]uint16{10, 50}: // close: close-ok
		return method(0, 10, 51)
	case [2]uint16{20, 10}: // channel open: open-ok
		return method(channel, 20, 11, longText("")...)
	case [2]uint16{85, 10}: // select: select-ok
		return method(channel, 85, 11)
	case [2]uint16{amqpClassBasic, basicConsume}: // consume-ok
		return method(channel, amqpClassBasic, 21, shortText("tag")...)
	}
	return nil
}

// steps returns the steps that a tap sees in the bytes, in pieces of that size.
func steps(t *testing.T, length func([]byte) int, stepOf func([]byte) step, stream []byte, piece int) (seen []step) {
	t.Helper()
	messages := splitter{length: length}
	for len(stream) > 0 {
		n := min(piece, len(stream))
		messages.add(stream[:n])
		stream = stream[n:]
		for m := messages.next(); m != nil; m = messages.next() {
			if s := stepOf(m); s != "" {
				seen = append(seen, s)
			}
		}
	}
	if len(messages.rest) > 0 || messages.lost {
		t.Errorf("%d bytes are left, lost: %v", len(messages.rest), messages.lost)
	}
	return seen
}

func TestAMQPRequests(t *testing.T) {
	publish := func(ch *amqp.Channel) error {
		return ch.Publish("orders", "order.created", true, false, amqp.Publishing{Body: make([]byte, 300), Headers: amqp.Table{"ce-id": "1"}})
	}
	consume := func(queue string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			_, err := ch.Consume(queue, "", false, false, false, false, nil)
			return err
		}
	}
	ack := func(ch *amqp.Channel) error { return ch.Ack(1, true) }
	tests := []struct {
		name string
		use  []func(*amqp.Channel) error
		want []step
	}{
		{"publish twice", []func(*amqp.Channel) error{publish, publish}, []step{stepPublish, stepPublish}},
		{"publish, with confirms", []func(*amqp.Channel) error{func(ch *amqp.Channel) error { return ch.Confirm(false) }, publish}, []step{stepPublish}},
		{"ack of an event", []func(*amqp.Channel) error{consume(harness.MainQueue), ack}, []step{stepAck}},
		{"ack of a dead letter", []func(*amqp.Channel) error{consume(harness.DeadLetterQueue), ack}, []step{stepLetterAck}},
		{"ack of something else", []func(*amqp.Channel) error{consume("other"), ack}, nil},
		{"reject", []func(*amqp.Channel) error{consume(harness.MainQueue), func(ch *amqp.Channel) error { return ch.Nack(1, false, true) }}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream := clientBytes(t, func(ch *amqp.Channel) error {
				for _, use := range tt.use {
					if err := use(ch); err != nil {
						return err
					}
				}
				return nil
			})
			for piece := 1; piece <= len(stream); piece++ {
				if diff := cmp.Diff(tt.want, steps(t, amqpLength, newAMQPTap().request, stream, piece)); diff != "" {
					t.Fatalf("in pieces of %d bytes (-want +got):\n%s", piece, diff)
				}
			}
		})
	}
}

func TestAMQPAnswers(t *testing.T) {
	var stream []byte
	for _, frame := range [][]byte{
		brokerAnswer(amqpGreeting),
		method(1, 85, 11),
		method(1, amqpClassBasic, basicAck, 0, 0, 0, 0, 0, 0, 0, 7, 1),
		{8, 0, 0, 0, 0, 0, 0, amqpFrameEnd}, // heartbeat
		method(1, amqpClassBasic, basicNack, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0),
		method(1, amqpClassBasic, 60, make([]byte, 40)...),            // deliver
		{3, 0, 1, 0, 0, 0, 2, amqpMethod, amqpFrameEnd, amqpFrameEnd}, // a body that looks like something
	} {
		stream = append(stream, frame...)
	}
	for piece := 1; piece <= len(stream); piece++ {
		if diff := cmp.Diff([]step{stepConfirm, stepConfirm}, steps(t, amqpLength, amqpAnswer, stream, piece)); diff != "" {
			t.Fatalf("in pieces of %d bytes (-want +got):\n%s", piece, diff)
		}
	}
}

func TestOtherProtocolsPassUnchanged(t *testing.T) {
	for _, text := range []string{"ANQP\x00\x00\x09\x01", "\x01\x00\x00\x00\x00\x00\x01XX and more"} {
		s := splitter{length: amqpLength}
		s.add([]byte(text))
		if got := string(s.next()); got != text || !s.lost {
			t.Errorf("%q became %q, lost: %v", text, got, s.lost)
		}
		s.add([]byte("x"))
		if got := string(s.next()); got != "x" {
			t.Errorf("then got %q", got)
		}
	}
}
