package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"example.com/orderflow/adapters/sqlite"
)

// openFile is a file that is open as store, broker or both.
type openFile struct {
	store   *sqlite.Store
	options string // of its URL
	users   int
}

// UseData makes the URL, of a file in the folder, that of store and broker, unless
// they name others. byDefault stands for it in their settings.
func (c *Common) UseData(folder, url, byDefault string) {
	c.folder, c.data = folder, url
	for _, setting := range []*string{&c.Store, &c.Broker} {
		if *setting == byDefault {
			*setting = url
		}
	}
}

// fileError returns the error of a file that is the store or broker, with the setting
// that names it.
func (c *Common) fileError(flag, url string, err error) error {
	if url == c.data {
		return fmt.Errorf("--data: %q: %w", c.folder, err)
	}
	return settingError(flag, url, err)
}

// ExistingFile returns the path of the file that the URL of the setting names. An error is
// returned unless the file exists.
func (c *Common) ExistingFile(flag, url string) (path string, err error) {
	path, err = sqlite.Path(url)
	if err == nil {
		_, err = os.Stat(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; name the file with %s, or start the service once", err, flag)
	}
	if err != nil {
		return "", c.fileError(flag, url, err)
	}
	return path, nil
}

// openFile opens the file at the URL and waits until it can be used. Store and broker in
// one file share it: each closes it, and the last one does. Its errors have no setting.
func (c *Common) openFile(ctx context.Context, url string, options BrokerOptions, log *slog.Logger) (_ *sqlite.Store, close func(), err error) {
	path, err := sqlite.Path(url)
	if err != nil {
		return nil, nil, err
	}
	_, query, _ := strings.Cut(url, "?")
	file := c.files[path]
	switch {
	case file == nil:
		file = &openFile{options: query}
		err := waitFor(ctx, "file", c.StartTimeout, log, func(ctx context.Context) (err error) {
			file.store, err = sqlite.Open(ctx, url, sqlite.Options{
				StopTimeout: c.HandlersStopTimeout(), Prefetch: options.Prefetch, SubscriptionPrefetch: options.Channels.prefetch(), Logger: log,
			})
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		if c.files == nil {
			c.files = make(map[string]*openFile)
		}
		c.files[path] = file
	case file.options != query:
		return nil, nil, fmt.Errorf("store and broker are one file, so their URLs must have the same options, and not %q and %q", query, file.options)
	}
	file.users++
	return file.store, func() {
		if file.users--; file.users == 0 {
			delete(c.files, path)
			c.closing("file", file.store.Close, log)()
		}
	}, nil
}
