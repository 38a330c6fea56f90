package operators

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/notification"
)

type contactCommands struct {
	Import importContacts `cmd:"" help:"Store the contacts of a CSV file, all or none if a line is wrong. Columns: user_id, language, a column for each channel, off."`
	Export exportContacts `cmd:"" help:"Write all contacts as such a file."`
	Get    getContact     `cmd:"" help:"Print a user's contact as JSON."`
	Set    setContact     `cmd:"" help:"Store a user's contact in place of the earlier one."`
	Delete deleteContact  `cmd:"" help:"Delete a user's contact. The command forget also removes what else is known of the user."`
}

type importContacts struct {
	File string `arg:"" help:"CSV file in UTF-8; it is read twice, so it can't be a pipe."`
}

func (i *importContacts) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	file, err := os.Open(i.File)
	if err != nil {
		return err
	}
	defer file.Close()
	return withControl(ctx, notifying, common, streams, func(s session) error {
		written, err := s.control.Import(ctx, file, currentUser(), s.printProgress())
		var bad *notification.BadFileError
		if errors.As(err, &bad) {
			for _, fault := range bad.Fields {
				fmt.Fprintln(s.err, fault)
			}
			if more := bad.Count - len(bad.Fields); more > 0 {
				fmt.Fprintf(s.err, "and %d more\n", more)
			}
			return fmt.Errorf("%s: %s, so nothing was written", i.File, count(bad.Count, "fault"))
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(s.err, "%s stored\n", count(written, "contact"))
		return nil
	})
}

// printProgress returns a function that prints an import's progress once a second.
func (s session) printProgress() func(notification.ImportProgress) {
	last := time.Now()
	return func(p notification.ImportProgress) {
		if time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		if p.Written == 0 {
			fmt.Fprintf(s.err, "%d checked\n", p.Checked)
		} else {
			fmt.Fprintf(s.err, "%d of %d stored\n", p.Written, p.Checked)
		}
	}
}

type exportContacts struct {
	File string `arg:"" optional:"" help:"New file, which only its owner may read; default: standard output."`
}

func (e *exportContacts) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		if e.File == "" {
			return s.export(ctx, s.out)
		}
		return writeWhole(e.File, func(w io.Writer) error { return s.export(ctx, w) })
	})
}

func (s session) export(ctx context.Context, w io.Writer) error {
	report, err := s.control.Export(ctx, w)
	if err != nil {
		return err
	}
	for _, channel := range slices.Sorted(maps.Keys(report.LeftOut)) {
		fmt.Fprintf(s.err, "left out what %s have for channel %s, which is not configured here\n",
			count(report.LeftOut[channel], "contact"), oneLine(channel))
	}
	if report.Unreadable > 0 {
		fmt.Fprintf(s.err, "skipped %s that can't be read; the log has the ids\n", count(report.Unreadable, "contact"))
	}
	fmt.Fprintf(s.err, "%s written\n", count(report.Written, "contact"))
	return nil
}

// writeWhole writes a new file, which exists only once it is complete.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists; give the name of a new file", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".contacts-*") // only its owner may read it
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails once it is renamed
	err = errors.Join(write(file), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

type getContact struct {
	User string `arg:"" help:"The user's id."`
}

func (g *getContact) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		contact, err := s.control.Contact(ctx, g.User)
		if err != nil {
			return err
		}
		s.printJSON(notification.NewContactView(contact))
		return nil
	})
}

type setContact struct {
	User     string            `arg:"" help:"The user's id."`
	Language string            `placeholder:"TAG" help:"Language tag, such as de."`
	Address  map[string]string `placeholder:"CHANNEL=ADDRESS" mapsep:"none" help:"Address for a channel; may be repeated."`
	Off      []string          `placeholder:"CHANNEL" sep:"," help:"Channel that the user does not want; may be repeated."`
}

func (c *setContact) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		contact := ports.Contact{UserID: c.User, Language: c.Language, Addresses: c.Address, Off: c.Off}
		contact, err := s.control.PutContact(ctx, contact, currentUser())
		var invalid *domain.InvalidError
		if errors.As(err, &invalid) {
			for _, fault := range invalid.Fields {
				fmt.Fprintf(s.err, "%s %s\n", fault.Field, fault.Reason)
			}
			return fmt.Errorf("%s, so nothing was stored", count(len(invalid.Fields), "fault"))
		}
		if err != nil {
			return err
		}
		s.printJSON(notification.NewContactView(contact))
		return nil
	})
}

type deleteContact struct {
	User string `arg:"" help:"The user's id."`
	Yes  bool   `help:"Do not ask for confirmation."`
}

func (d *deleteContact) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		if !d.Yes {
			if err := s.confirm(ctx, "delete the contact of user "+oneLine(d.User)+"?"); err != nil {
				return err
			}
		}
		if err := s.control.DeleteContact(ctx, d.User, currentUser()); err != nil {
			return err
		}
		fmt.Fprintln(s.err, "1 contact deleted")
		return nil
	})
}

// forget is the command that removes a user.
type forget struct {
	User string `arg:"" help:"The user's id."`
	Yes  bool   `help:"Do not ask for confirmation."`
	Why  string `placeholder:"TEXT" help:"Why, for other operators."`
	output
}

func (f *forget) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	return withControl(ctx, notifying, common, streams, func(s session) error {
		if !f.Yes {
			question := fmt.Sprintf("remove user %s from contacts, notifications and dead letters? This can't be undone.", oneLine(f.User))
			if err := s.confirm(ctx, question); err != nil {
				return err
			}
		}
		forgotten, err := s.control.Forget(ctx, f.User, currentUser(), f.Why)
		view := notification.NewForgottenView(forgotten)
		if f.JSON {
			s.printJSON(view)
		} else {
			fmt.Fprintf(s.out, "%s, %s and %s changed\n",
				count(view.Contacts, "contact"), count(view.Notifications, "notification"), count(view.DeadLetters, "dead letter"))
		}
		return err
	})
}
