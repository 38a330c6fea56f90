package main

import (
	"encoding/binary"
	"net"
	"slices"
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

// brokerAnswer is a broker that answers what the library waits for.
func brokerAnswer(frame []byte) []byte {
	if string(frame) == amqpGreeting { // start, without properties
		return method(0, 10, 10, []byte("\x00\x09"+"\x00\x00\x00\x00"+"\x00\x00\x00\x05PLAIN"+"\x00\x00\x00\x05en_US")...)
	}
	return map[string][]byte{ // by class and method
		"\x00\x0A\x00\x0B": method(0, 10, 30, 0, 0, 0, 2, 0, 0, 0, 0),                       // start-ok: tune
		"\x00\x0A\x00\x28": method(0, 10, 41, 0),                                            // open: open-ok
		"\x00\x0A\x00\x32": method(0, 10, 51),                                               // close: close-ok
		"\x00\x14\x00\x0A": method(1, 20, 11, 0, 0, 0, 0),                                   // channel open: open-ok
		"\x00\x55\x00\x0A": method(1, 85, 11),                                               // select: select-ok
		"\x00\x3C\x00\x14": method(1, amqpClassBasic, basicConsume+1, []byte("\x03tag")...), // consume-ok
	}[string(frame[amqpFrameHeader:min(len(frame), amqpFrameHeader+4)])]
}

// The steps are seen in the bytes that the library writes.
func TestAMQPRequests(t *testing.T) {
	type use = func(*amqp.Channel) error
	publish := func(ch *amqp.Channel) error {
		return ch.Publish("orders", "order.created", true, false, amqp.Publishing{Body: make([]byte, 300), Headers: amqp.Table{"ce-id": "1"}})
	}
	consume := func(queue string) use {
		return func(ch *amqp.Channel) error {
			_, err := ch.Consume(queue, "", false, false, false, false, nil)
			return err
		}
	}
	confirm := func(ch *amqp.Channel) error { return ch.Confirm(false) }
	ack := func(ch *amqp.Channel) error { return ch.Ack(1, true) }
	reject := func(ch *amqp.Channel) error { return ch.Nack(1, false, true) }
	for _, tt := range []struct {
		name string
		uses []use
		want []step
	}{
		{"publish twice", []use{publish, publish}, []step{stepPublish, stepPublish}},
		{"publish, with confirms", []use{confirm, publish}, []step{stepPublish}},
		{"ack of an event", []use{consume(harness.MainQueue), ack}, []step{stepAck}},
		{"ack of a dead letter", []use{consume(harness.DeadLetterQueue), ack}, []step{stepLetterAck}},
		{"ack of something else", []use{consume("other"), ack}, nil},
		{"reject", []use{consume(harness.MainQueue), reject}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, broker := net.Pipe()
			written := make(chan []byte, 1)
			go func() { written <- answerAll(broker, readAMQP, brokerAnswer) }()
			connection, err := amqp.Open(client, amqp.Config{
				Heartbeat: time.Hour, SASL: []amqp.Authentication{&amqp.PlainAuth{Username: "u", Password: "p"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			channel, err := connection.Channel()
			for _, use := range tt.uses {
				if err == nil {
					err = use(channel)
				}
			}
			if closeErr := connection.Close(); err != nil || closeErr != nil {
				t.Error(err, closeErr)
			}
			if diff := cmp.Diff(tt.want, steps(t, readAMQP, newAMQPTap().request, <-written)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMQPAnswers(t *testing.T) {
	stream := slices.Concat(
		brokerAnswer([]byte(amqpGreeting)),
		method(1, 85, 11),
		method(1, amqpClassBasic, basicAck, 0, 0, 0, 0, 0, 0, 0, 7, 1),
		[]byte{8, 0, 0, 0, 0, 0, 0, amqpFrameEnd}, // heartbeat
		method(1, amqpClassBasic, basicNack, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0),
		method(1, amqpClassBasic, 60, make([]byte, 40)...),                  // deliver
		[]byte{3, 0, 1, 0, 0, 0, 2, amqpMethod, amqpFrameEnd, amqpFrameEnd}, // a body that looks like something
	)
	if diff := cmp.Diff([]step{stepConfirm, stepConfirm}, steps(t, readAMQP, newAMQPTap().answer, stream)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}
