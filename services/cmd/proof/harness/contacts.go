package harness

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Contact is a line of a file of contacts.
type Contact struct {
	UserID, Language string
	Email, Webhook   string   // addresses; may be empty
	Off              []string // channels
}

// NotifierEnv returns the environment of a notifier with the channels email and
// webhook, whose servers are at the addresses.
func NotifierEnv(mailServer, webhooks string) []string {
	return []string{
		"SMTP_URL=smtp://" + mailServer + "/?from=Shop+<shop@example.com>&tls=none",
		"WEBHOOK_URL=http://" + webhooks + "/" + Operator, "WEBHOOK_SECRET=" + WebhookSecret, "WEBHOOK_ALLOW_PRIVATE=true",
	}
}

// ImportContacts stores the contacts with the notification service's command, which
// is in the folder, in the environment. The file of contacts is written there, too.
func ImportContacts(ctx context.Context, folder string, env []string, contacts []Contact) error {
	path := filepath.Join(folder, "contacts.csv")
	if err := writeContacts(path, contacts); err != nil {
		return fmt.Errorf("write contacts: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(folder, "notification"), "contacts", "import", path)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import contacts: %w: %s", err, out)
	}
	return nil
}

func writeContacts(path string, contacts []Contact) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := csv.NewWriter(file)
	all := [][]string{{"user_id", "language", Email, Webhook, "off"}}
	for _, c := range contacts {
		all = append(all, []string{c.UserID, c.Language, c.Email, c.Webhook, strings.Join(c.Off, " ")})
	}
	if err := lines.WriteAll(all); err != nil {
		return err
	}
	return file.Close()
}
