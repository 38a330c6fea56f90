package rabbitmq_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
)

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	topology := newTopology(t)
	proxy := newProxy(t, server.TLS)
	url := strings.Replace(through(t, proxy.address), "amqp:", "amqps:", 1)

	publish(t, newPublisher(t, url+"?cacertfile="+authority, topology), newEvent(t))
	if n := messages(t, topology.Queue); n != 1 {
		t.Errorf("%d messages in the queue, want 1", n)
	}
	err := tryPublish(t, newPublisher(t, url, topology), newEvent(t))
	if !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v, want one about the certificate", err)
	}
}

func TestURL(t *testing.T) {
	for _, url := range []string{
		"", "localhost", "http://u:secret@host/", "amqp://u:secret@host:port/", "amqp://u:sec ret@host/",
		"amqp://u:secret@host/shop%0a", "amqp://u:secret@host/shop\u200b", "amqp://u:%secret@host/", "amqp://u:secret/@host/", "amqp://u:secret@host/?heartbeat=secret",
		"amqp://u:12345secret/x@host/", "amqp://u:secret@[host/",
		"amqp://u:12/secret@host/", "amqp://u:12?secret@host/", "amqp://u:12#secret@host/", "amqp://u:p@secret@host/", "amqp://u:p@ss#secret@host/",
	} {
		_, err := rabbitmq.Open(url, rabbitmq.Options{})
		if err == nil || strings.Contains(err.Error(), "ecret") {
			t.Errorf("%q: error %v, want one without the password", url, err)
		}
	}
	for _, url := range []string{"amqp://localhost", "amqp://localhost:5672/", "amqps://u:p%40ss@broker.example.com/shop?heartbeat=5"} {
		if _, err := rabbitmq.Open(url, rabbitmq.Options{}); err != nil {
			t.Errorf("%q: error %v", url, err)
		}
	}
}

// Open refuses an option that the library would ignore, or with which no connection
// succeeds.
func TestURLOptions(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := file("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	keyFile := file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	text := file("secret.txt", []byte("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n"))
	missing := filepath.Join(dir, "missing.pem")

	for options, want := range map[string]string{
		"amqps ?cacertfile=" + missing:                               `option cacertfile: "` + missing + `": no such file or directory`,
		"amqps ?cacertfile=" + dir:                                   `option cacertfile: "` + dir + `": is a directory`,
		"amqps ?cacertfile=" + text:                                  `option cacertfile: "` + text + `" holds no certificate in PEM`,
		"amqps ?cacertfile=" + keyFile:                               `option cacertfile: "` + keyFile + `" holds no certificate in PEM`,
		"amqps ?cacertfile=":                                         `option cacertfile is empty`,
		"amqps ?cacertfile=" + dir + "%0Ax":                          `option cacertfile: "` + dir + `\nx": no such file or directory`,
		"amqps ?certfile=" + certificate:                             `option certfile needs keyfile: give both or none`,
		"amqps ?keyfile=" + keyFile:                                  `option keyfile needs certfile: give both or none`,
		"amqps ?certfile=" + missing + "&keyfile=" + keyFile:         `option certfile: "` + missing + `": no such file or directory`,
		"amqps ?certfile=" + keyFile + "&keyfile=" + certificate:     `options certfile and keyfile: "` + keyFile + `" and "` + certificate + `": tls: `,
		"amqps ?certfile=" + certificate + "&keyfile=" + certificate: `options certfile and keyfile: "` + certificate + `" and "` + certificate + `": tls: `,
		"amqp ?cacertfile=" + certificate:                            `option cacertfile needs TLS: begin the URL with amqps: or leave the option out`,
		"amqp ?certfile=" + certificate + "&keyfile=" + keyFile:      `option certfile needs TLS: begin the URL with amqps: or leave the option out`,
		"amqp ?server_name_indication=broker":                        `option server_name_indication needs TLS: begin the URL with amqps: or leave the option out`,
		"amqp ?tsl=true":                                             `option "tsl" is unknown; the options are auth_mechanism, cacertfile, certfile, channel_max, connection_timeout, heartbeat, keyfile, server_name_indication`,
		"amqp ?Heartbeat=5":                                          `option "Heartbeat" is unknown; the options are `,
		"amqp ?=5":                                                   `option "" is unknown; the options are `,
		"amqps ?verify=verify_peer":                                  `option "verify" is unknown; the options are `,
		"amqp ?heartbeat=5&heartbeat=6":                              `option heartbeat is given 2 times`,
		"amqp ?heartbeat=secret":                                     `option heartbeat: it must be a whole number from 0 to 65535`,
		"amqp ?heartbeat=":                                           `option heartbeat is empty`,
		"amqp ?heartbeat":                                            `option heartbeat is empty`,
		"amqp ?heartbeat=-1":                                         `option heartbeat: it must be a whole number from 0 to 65535`,
		"amqp ?heartbeat=5s":                                         `option heartbeat: it must be a whole number from 0 to 65535`,
		"amqp ?connection_timeout=-5":                                `option connection_timeout: it must be a whole number from 1 to 600000`,
		"amqp ?channel_max=1":                                        `option channel_max: it must be a whole number from 2 to 65535`,
		"amqp ?auth_mechanism=secret":                                `option auth_mechanism: it must be plain, amqplain or external`,
		"amqp ?heartbeat=5;heartbeat=6":                              `its options can't be read: percent-encode every reserved character in them`,
		"amqp ?heartbeat=%zz":                                        `its options can't be read: percent-encode every reserved character in them`,
	} {
		scheme, query, _ := strings.Cut(options, " ")
		url := scheme + "://user:secret@localhost/" + query
		_, err := rabbitmq.Open(url, rabbitmq.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "read URL of the broker: "+want) {
			t.Errorf("%s: error %v, want %s", options, err, want)
		}
		if err != nil && (strings.Contains(strings.ReplaceAll(err.Error(), text, ""), "secret") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: error %q has a secret or several lines", options, err)
		}
	}
	for _, url := range []string{
		"amqps://u:p@h/?cacertfile=" + certificate + "&certfile=" + certificate + "&keyfile=" + keyFile + "&server_name_indication=broker",
		"amqp://u:p@h/?auth_mechanism=PLAIN&auth_mechanism=amqplain&heartbeat=0&connection_timeout=5000&channel_max=2",
	} {
		if _, err := rabbitmq.Open(url, rabbitmq.Options{}); err != nil {
			t.Errorf("%q: error %v", url, err)
		}
	}
}

// Every option has its effect.
func TestURLOptionsHaveEffect(t *testing.T) {
	topology := newTopology(t)
	with := func(options string) string { return brokerURL(t) + "?" + options }
	publish(t, newPublisher(t, with("channel_max=2&auth_mechanism=amqplain&heartbeat=1&connection_timeout=20000"), topology), newEvent(t))

	proxy := newProxy(t, nil)
	proxy.swallow()
	err := newPublisher(t, through(t, proxy.address)+"?connection_timeout=100", topology).Ping(bounded(t, patience))
	if want := "not connected within 100ms"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
