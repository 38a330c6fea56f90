package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/cmd/internal/operators"
	"example.com/orderflow/services/cmd/internal/preflight"
)

// dataFile stands for the URL of the file in the data folder.
const dataFile = "sqlite:DATA/orderflow.db"

type settings struct {
	Run run `cmd:"" default:"1" help:"Run both services (default)."`
	app.Commands
	preflight.Both
	dataCommands
	operators.Operations
	operators.OfBoth

	Data string `env:"DATA_DIR" default:"data" placeholder:"FOLDER" help:"Folder of the file orderflow.db, which is store and broker unless --store and --broker name others." group:"Settings of the service:"`

	OrderAddr        app.Address `env:"ORDER_ADDR" default:"localhost:8080" help:"Address of the order service." group:"Settings of the service:"`
	NotificationAddr app.Address `env:"NOTIFICATION_ADDR" default:"localhost:8081" help:"Address of the notification service." group:"Settings of the service:"`
	app.Consuming    `group:"Settings of the service:"`
	app.Notifying    `group:"Settings of the service:"`
	app.Intake       `group:"Settings of the service:"`
	app.Common       `group:"Settings of the service:"`
}

// Addresses returns the addresses that answer /readyz.
func (s *settings) Addresses() []app.Address { return []app.Address{s.OrderAddr, s.NotificationAddr} }

// AfterApply puts the data folder into the URLs of store and broker. Kong calls it before
// the commands.
func (s *settings) AfterApply() error {
	if s.Data == "" {
		return errors.New("--data: the value is empty; leave the variable unset for the default")
	}
	s.UseData(s.Data, s.fileURL(), dataFile)
	return nil
}

func (s *settings) fileURL() string {
	return "sqlite:" + (&url.URL{Path: filepath.ToSlash(filepath.Join(s.Data, "orderflow.db"))}).EscapedPath()
}

// makeFolder makes the data folder, which only its owner can use, if it is needed. It
// refuses to keep one half of the data in it and the other in memory.
func (s *settings) makeFolder() error {
	if s.Store != s.fileURL() && s.Broker != s.fileURL() {
		return nil
	}
	inMemory := func(url string) bool { return strings.HasPrefix(url, "memory:") }
	if inMemory(s.Store) || inMemory(s.Broker) {
		return app.UsageErrorf("--store and --broker: one is in memory and the other in a file; give memory: for both, or for neither")
	}
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return fmt.Errorf("--data: %q: %w", s.Data, s.folderFault(err))
	}
	return nil
}

// folderFault says why the data folder can't be made, and the way out.
func (s *settings) folderFault(err error) error {
	at := s.Data
	var failed *fs.PathError
	if errors.As(err, &failed) {
		at, err = failed.Path, failed.Err
	}
	target, link := os.Readlink(at)
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s is a file; name a folder", at)
	case link == nil && errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is a link to %s, which does not exist; make that folder, or name another", at, target)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the file system of %s is read-only; mount it for writing, or name a folder on another", at)
	}
	return fmt.Errorf("the folder %s can't be made: %w; name one that you may write to", at, err)
}
