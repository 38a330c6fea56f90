package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/cmd/internal/move"
)

// dataCommands are the commands for the file that keeps the data.
type dataCommands struct {
	Backup backupData `cmd:"" help:"Copy the data to a new file, while the service runs or not."`
	Move   moveData   `cmd:"" help:"Copy the data to another store, such as MongoDB, and account for each record. Stop the service before."`
}

// sourceFile returns the path of the file that keeps the data.
func sourceFile(c *app.Common) (string, error) {
	if !strings.HasPrefix(c.Store, "sqlite:") {
		return "", app.UsageErrorf("--store: %q keeps no file; the command needs a URL such as sqlite:data/orderflow.db", app.Redact(app.Shown(c.Store)))
	}
	return c.ExistingFile("--store", c.Store)
}

type backupData struct {
	File  string `arg:"" help:"New file, which only its owner may read."`
	Force bool   `help:"Replace FILE if it exists."`
}

// Run writes a backup and says how to use it.
func (b *backupData) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	if _, err := sourceFile(c); err != nil {
		return err
	}
	last := time.Now()
	info, err := sqlite.Backup(ctx, c.Store, b.File, sqlite.BackupOptions{Replace: b.Force, Progress: func(done, total int) {
		if time.Since(last) >= time.Second {
			last = time.Now()
			fmt.Fprintf(s.Err, "%d of %d pages copied\n", done, total)
		}
	}})
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; nothing is left of the backup")
	case err != nil:
		if errors.Is(err, ports.ErrExists) {
			return fmt.Errorf("%w, or --force", err)
		}
		return err
	}
	_, err = fmt.Fprintf(s.Out, `%s: %d orders, %d bytes; checked
To use it: copy it to the place of the data while no service runs, or name it: --store sqlite:%s
`, info.Path, info.Orders, info.Bytes, info.Path)
	return err
}

type moveData struct {
	ToStore string `env:"TO_STORE_URL" filevar:"TO_STORE_URL_FILE" placeholder:"URL" help:"URL of the other store: mongodb://HOST:PORT/DATABASE, mongodb+srv://HOST/DATABASE, or sqlite:PATH. TO_STORE_URL_FILE may name a file that has it."`
	DryRun  bool   `help:"Copy nothing; only account for what the other store has."`
	Undo    bool   `help:"Let services use the file again, after its data was moved."`
}

// Run copies the data, prints the account, and fails unless that is even.
func (m *moveData) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	path, err := sourceFile(c)
	if err != nil {
		return err
	}
	if err := m.check(path); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	opening, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	source, closeSource, err := move.OpenSource(opening, c.Store, log)
	if err != nil {
		return fmt.Errorf("--store: %w", err)
	}
	defer closeSource()
	if m.Undo {
		target, err := source.UndoMove(ctx)
		switch {
		case errors.Is(err, ports.ErrNotFound):
			return fmt.Errorf("%s was not moved: services can use it", path)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintf(s.Out, "Services can use %s again. %s keeps what was moved there: let no service use it, or users are notified twice.\n", path, target)
		return err
	}
	name := app.Redact(app.Shown(m.ToStore))
	target, closeTarget, err := move.OpenTarget(opening, m.ToStore, log)
	if err != nil {
		return fmt.Errorf("--to-store: %q: %w", name, err)
	}
	defer closeTarget()
	report, err := move.Run(ctx, source, target, move.Options{Name: name, DryRun: m.DryRun, Progress: func(p move.Progress) {
		fmt.Fprintf(s.Err, "%s %s: %d of %d, %d a second\n", p.Doing, p.Kind, p.Done, p.Total, p.PerSecond)
	}})
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; nothing is lost: run the command again, and it goes on where it stopped")
	case errors.Is(err, ports.ErrRefused):
		return err
	case err != nil:
		return fmt.Errorf("%w; nothing is lost: mend the cause and run the command again, and it goes on where it stopped", err)
	}
	if err := m.print(report, path, name, s.Out); err != nil {
		return err
	}
	if broker, err := sqlite.Path(c.Broker); err == nil && broker != path {
		if _, err := os.Stat(broker); err == nil {
			fmt.Fprintf(s.Err, "the queues of --broker %s are in another file and were not moved: keep that broker, or empty its queues first\n", broker)
		}
	}
	return nil
}

// check returns an error if the flags contradict each other or the target is the source.
func (m *moveData) check(path string) error {
	switch {
	case m.Undo && (m.DryRun || m.ToStore != ""):
		return app.UsageErrorf("--undo has no other flags: it only lets services use the file again")
	case m.Undo:
		return nil
	case m.ToStore == "":
		return app.UsageErrorf("--to-store: give the URL of the other store, such as mongodb://localhost:27017/orders")
	case !strings.HasPrefix(m.ToStore, "sqlite:"):
		return nil
	}
	target, err := sqlite.Path(m.ToStore)
	if err != nil {
		return app.UsageErrorf("--to-store: %w", err)
	}
	if target == path {
		return app.UsageErrorf("--to-store: %s is the file itself; name another store", target)
	}
	return nil
}

func (m *moveData) print(r move.Report, path, name string, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tin the file\tcopied now\tat the target\tnewer there\tmissing\tdifferent\tunreadable\t")
	for _, l := range r.Lines {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", l.Kind, l.InFile, l.Copied, l.Same, l.Newer, l.Missing, l.Different, l.Unreadable)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, l := range r.Lines {
		for _, fault := range l.Faults {
			fmt.Fprintf(out, "%s: %s\n", l.Kind, fault)
		}
		if l.More > 0 {
			fmt.Fprintf(out, "%s: and %d more\n", l.Kind, l.More)
		}
		if l.Unreadable > 0 {
			fmt.Fprintf(out, "%s: %d in the file can't be read; a warning names them\n", l.Kind, l.Unreadable)
		}
	}
	for _, left := range r.Left {
		fmt.Fprintf(out, "left in the file's queue of dead letters: %s\n", left)
	}
	if r.SetAside > 0 {
		fmt.Fprintf(out, "%d messages in queues were no events of these orders; they are dead letters now\n", r.SetAside)
	}
	switch lacking := r.Lacking(); {
	case m.DryRun:
		_, err := fmt.Fprintf(out, "Nothing was copied: %s lacks %d records of %s.\n", name, lacking, path)
		return err
	case lacking > 0:
		return fmt.Errorf("the account is not even: %s lacks %d records of %s, as listed above; services can still use the file", name, lacking, path)
	}
	_, err := fmt.Fprintf(out, `Even: %s has every record of %s.
Start the services with --store %s from now on. They refuse the file; to go back: move --undo
`, name, path, name)
	return err
}
