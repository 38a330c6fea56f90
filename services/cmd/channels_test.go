package cmd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw1234567890ab"

// writeFile writes a file for this test alone.
func writeFile(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// notifying has the two services, a mail server and a receiver of webhooks, and users
// with an address at both.
type notifying struct {
	settings              []string
	orders, notifications string
	mails                 *mailServer
	webhooks              *webhookReceiver
	notifier              *process
}

const users = 500

func startNotifying(t *testing.T) *notifying {
	t.Helper()
	servers := servers(t)
	n := &notifying{orders: freeAddress(t), notifications: freeAddress(t), mails: startMailServer(t), webhooks: startWebhookReceiver(t)}
	n.settings = append(servers, "--smtp=smtp://"+n.mails.address+"/?from=shop@example.com&tls=none", "--webhook=http://"+n.webhooks.address+"/operator",
		"--webhook-secret-file="+writeFile(t, "secret", webhookSecret+"\n"), "--webhook-allow-private")

	var contacts strings.Builder
	contacts.WriteString("user_id,language,email,webhook\n")
	for user := range users {
		fmt.Fprintf(&contacts, "%d,%s,user%d@example.com,http://%s/users/%d\n", user, []string{"en", "de", ""}[user%3], user, n.webhooks.address, user)
	}
	if _, stderr := n.command(t, 0, "contacts", "import", writeFile(t, "contacts.csv", contacts.String())); !strings.Contains(stderr, "500 contacts stored") {
		t.Fatalf("import: %s", stderr)
	}
	start(t, "order", append(servers, "--addr="+n.orders)...)
	n.start(t)
	awaitReady(t, n.orders)
	return n
}

func (n *notifying) start(t *testing.T) {
	t.Helper()
	n.notifier = start(t, "notification", append(n.settings, "--addr="+n.notifications)...)
	awaitReady(t, n.notifications)
}

// command runs a command of notification, and fails the test unless it exits with the
// wanted status.
func (n *notifying) command(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	status, stdout, stderr := run(t, nil, "notification", append(args, n.settings...)...)
	if status != want {
		t.Fatalf("%v: exit status %d, want %d: %s", args, status, want, stderr)
	}
	return stdout, stderr
}

// await waits until each order has one mail and two webhooks. Some may come twice.
func (n *notifying) await(t *testing.T, orders, repeats int) {
	t.Helper()
	eventually(t, func() error { return n.mails.check(orders, repeats) })
	eventually(t, func() error { return n.webhooks.check(2*orders, 2*repeats) })
}

// Every order reaches its user by mail and webhook, and the operator by webhook, once,
// while a receiver is away, and while the notifier is killed.
func TestReceivers(t *testing.T) {
	t.Parallel()
	n := startNotifying(t)

	orders := len(placeOrders(t, n.orders, 16, 200))
	n.await(t, orders, 0)

	// A receiver that is away delays nothing of the other, and loses nothing.
	n.webhooks.stop()
	orders += len(placeOrders(t, n.orders, 16, 100))
	eventually(t, func() error { return n.mails.check(orders, 0) })
	if err := n.webhooks.check(2*(orders-100), 0); err != nil {
		t.Error("webhooks while their receiver is away:", err)
	}
	n.webhooks.start(t)
	n.await(t, orders, 0)
	n.mails.stop()
	orders += len(placeOrders(t, n.orders, 16, 20))
	eventually(t, func() error { return n.webhooks.check(2*orders, 0) })
	n.mails.start(t)
	n.await(t, orders, 0)

	// A killed notifier repeats at most what it had not recorded.
	load := startLoad(t, n.orders, 4)
	load.awaitMore(t, 100)
	n.notifier.stop(t, syscall.SIGKILL)
	load.awaitMore(t, 20)
	n.start(t)
	placed := load.stop()
	n.await(t, orders+len(placed), 64)

	// The story of an order: the log, the mail, and the webhooks to the user and the
	// operator.
	for id := range placed {
		eventually(t, func() error {
			stdout, _ := n.command(t, 0, "notifications", "list", "--order="+id, "--json", "--state=sent")
			if lines := strings.Count(stdout, "\n"); lines != 4 || strings.Count(stdout, `"code":"2`) != 3 {
				return fmt.Errorf("the story of an order has %d lines:\n%s", lines, stdout)
			}
			return nil
		})
		break
	}
	n.notifier.stopWell(t, syscall.SIGTERM)
}

// A paused channel holds its notifications; they are listed, and sent after it is
// resumed. A forgotten user gets nothing, and nothing shows the user any more.
func TestPauseAndForget(t *testing.T) {
	t.Parallel()
	n := startNotifying(t)
	n.command(t, 0, "channels", "pause", "email", "--reason=maintenance")
	if _, stderr := n.command(t, 1, "channels", "pause", "email"); !strings.Contains(stderr, "paused already") {
		t.Errorf("second pause: %s", stderr)
	}
	// The notifier reads the pauses each second. Until then it sends mails.
	mails, held := 0, false
	for !held {
		place(t, n.orders)
		eventually(t, func() error {
			if stdout, _ := n.command(t, 0, "undelivered", "--json"); strings.Contains(stdout, `"held"`) {
				held = true
			} else if len(n.mails.all()) > mails {
				mails++
			} else {
				return fmt.Errorf("the order's mail is neither sent nor held")
			}
			return nil
		})
	}

	orders := mails + 1 + len(placeOrders(t, n.orders, 4, 20))
	eventually(t, func() error { return n.webhooks.check(2*orders, 0) })
	undelivered := func(want int) {
		t.Helper()
		eventually(t, func() error {
			stdout, stderr := n.command(t, 0, "undelivered", "--json")
			if sum := fmt.Sprintf("email: %d held\n", want); want > 0 && !strings.HasSuffix(stderr, sum) {
				return fmt.Errorf("got %q, want %q", stderr, sum)
			}
			count := 0
			for line := range strings.Lines(stdout) {
				var view struct {
					Channel, State string
					Pause          struct{ Reason string }
				}
				if err := json.Unmarshal([]byte(line), &view); err != nil || view.Channel != "email" || view.State != "held" || view.Pause.Reason != "maintenance" {
					return fmt.Errorf("%v: %s", err, line)
				}
				count++
			}
			if count != want {
				return fmt.Errorf("%d notifications are undelivered, want %d", count, want)
			}
			return nil
		})
	}
	undelivered(orders - mails)
	if err := n.mails.check(mails, 0); err != nil {
		t.Error("mails during the pause:", err)
	}
	if stdout, _ := n.command(t, 0, "channels", "list"); !strings.Contains(stdout, "maintenance") {
		t.Errorf("channels list: %s", stdout)
	}

	// User 0 has a quarter of the orders, and those before.
	if _, stderr := n.command(t, 1, "forget", "0"); !strings.Contains(stderr, "nothing was done") {
		t.Errorf("forget without an answer: %s", stderr)
	}
	n.command(t, 0, "forget", "0", "--yes")
	n.command(t, 1, "contacts", "get", "0")
	if stdout, _ := n.command(t, 0, "notifications", "list", "--user=0", "--json"); stdout != "" {
		t.Errorf("notifications of the forgotten user: %s", stdout)
	}
	n.command(t, 0, "channels", "resume", "email")
	eventually(t, func() error {
		var left int
		for i, m := range n.mails.all() {
			if m.to == "user0@example.com" && i >= mails {
				t.Fatal("the forgotten user got a mail")
			}
			left++
		}
		stdout, _ := n.command(t, 0, "notifications", "list", "--channel=email", "--state=skipped", "--json")
		if skipped := strings.Count(stdout, "\n"); left+skipped != orders || skipped == 0 {
			return fmt.Errorf("%d mails and %d skipped, want %d together", left, skipped, orders)
		}
		return nil
	})
	undelivered(0)
	n.notifier.stopWell(t, syscall.SIGTERM)
}

// In orderflow with a store in memory, the admin address keeps contacts and pauses.
func TestChannelsInMemory(t *testing.T) {
	mails := startMailServer(t)
	orders, admin := freeAddress(t), freeAddress(t)
	p := start(t, "orderflow", "--order-addr="+orders, "--notification-addr=localhost:0", "--admin-addr="+admin,
		"--smtp=smtp://"+mails.address+"/?from=shop@example.com&tls=none")
	awaitReady(t, orders)
	if status, err := fetch("PUT", "http://"+admin+"/contacts/1", `{"language":"de","addresses":{"email":"ann@example.com"}}`, nil); err != nil || status != http.StatusOK {
		t.Fatalf("put contact: %d, %v", status, err)
	}
	placeOrders(t, orders, 2, 10) // of the users 0 and 1
	eventually(t, func() error {
		for _, m := range mails.all() {
			if m.to != "ann@example.com" {
				t.Fatalf("mail to %s", m.to)
			}
		}
		var page struct{ Data []struct{ Name string } }
		if _, err := fetch("GET", "http://"+admin+"/channels", "", &page); err != nil || len(page.Data) != 2 {
			return fmt.Errorf("%v, %v", page, err)
		}
		if len(mails.all()) == 0 {
			return fmt.Errorf("no mail")
		}
		return nil
	})
	p.stopWell(t, syscall.SIGTERM)
	if strings.Contains(p.out.String(), "ann@example.com") {
		t.Error("the log has the user's address")
	}
}
