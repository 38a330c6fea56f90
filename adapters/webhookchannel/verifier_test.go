package webhookchannel_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"example.com/orderflow/adapters/webhookchannel"
)

// The public library of another language verifies what is sent. It is installed in
// the folder that the variable TEST_WEBHOOK_VERIFIER names; .ci/verifier does that.
func TestOtherLanguageVerifies(t *testing.T) {
	folder := os.Getenv("TEST_WEBHOOK_VERIFIER")
	if folder == "" {
		t.Skip("NOT TESTED: signatures by the library standardwebhooks for node; .ci/verifier installs it")
	}
	r := newReceiver(t)
	c := newChannel(t, webhookchannel.Options{Secrets: []string{secret, oldSecret}, AllowPrivate: true, RootCAs: r.roots()})
	for _, product := range []string{"Laptop", "Bücher & <Hefte> 📚", "\u2028\"\\"} {
		message := outgoing(t, r.url())
		message.Event = newEvent(t, product)
		if _, err := c.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
	}

	type item struct {
		Secret  string            `json:"secret"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
		genuine bool
	}
	var items []item
	for _, w := range r.received() {
		headers := make(map[string]string)
		for name := range w.header {
			headers[name] = w.header.Get(name)
		}
		otherID := map[string]string{"webhook-id": "other", "webhook-timestamp": headers["Webhook-Timestamp"], "webhook-signature": headers["Webhook-Signature"]}
		items = append(items,
			item{secret, headers, string(w.body), true},
			item{oldSecret, headers, string(w.body), true},
			item{"whsec_" + base64Of(make([]byte, 24)), headers, string(w.body), false},
			item{secret, headers, string(w.body) + " ", false},
			item{secret, otherID, string(w.body), false},
		)
	}
	failures := runVerifier(t, folder, items)
	if len(items) != 15 || len(failures) != len(items) {
		t.Fatalf("%d of %d webhooks verified, want 15", len(failures), len(items))
	}
	for i, failure := range failures {
		if items[i].genuine != (failure == "") {
			t.Errorf("webhook %d: the library says %q, want genuine %t", i, failure, items[i].genuine)
		}
	}
}

// runVerifier returns an error for each webhook; an empty one means that it is genuine.
func runVerifier(t *testing.T, folder string, webhooks any) (errors []string) {
	t.Helper()
	input, err := json.Marshal(webhooks)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "verifier", "verify.js"))
	node.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(folder, "node_modules"))
	node.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	node.Stderr = &stderr
	output, err := node.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(output, &errors); err != nil {
		t.Fatalf("node's output: %v", err)
	}
	return errors
}
