package app

import (
	"context"
	"log/slog"

	"example.com/orderflow/adapters/sqlite"
)

// openFile is a file that is open as store, broker or both.
type openFile struct {
	store *sqlite.Store
	users int
}

// openFile opens the file at the URL and waits until it can be used. Store and broker in
// one file share it: each closes it, and the last one does. Its errors have no setting.
func (c *Common) openFile(ctx context.Context, url string, options BrokerOptions, log *slog.Logger) (_ *sqlite.Store, close func(), err error) {
	path, err := sqlite.Path(url)
	if err != nil {
		return nil, nil, err
	}
	file := c.files[path]
	if file == nil {
		file = new(openFile)
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
	}
	file.users++
	return file.store, func() {
		if file.users--; file.users == 0 {
			delete(c.files, path)
			c.closing("file", file.store.Close, log)()
		}
	}, nil
}
