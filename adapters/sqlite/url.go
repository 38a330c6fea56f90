package sqlite

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

const scheme = "sqlite:"

// maxCacheKiB bounds the memory that one connection's cache may take.
const maxCacheKiB = 1 << 20

// Path returns the absolute path of the file that the URL names, without symbolic links.
// Two URLs name one file if their paths are equal. Path opens nothing, and the file need
// not exist.
func Path(url string) (string, error) {
	f, err := parseURL(url)
	if err != nil {
		return "", err
	}
	path, err := resolve(f.path)
	if err != nil {
		return "", f.classify(err)
	}
	return path, nil
}

// parseURL reads the URL. The file's path is as the URL has it.
func parseURL(text string) (file, error) {
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return file{}, fmt.Errorf("URL %q must begin with %s", text, scheme)
	}
	f := file{synchronous: "FULL", cacheSize: -2000}
	path, query, _ := strings.Cut(rest, "?")
	var err error
	if f.path, err = parsePath(path); err == nil {
		err = f.parseOptions(query)
	}
	if err != nil {
		return file{}, fmt.Errorf("URL %q: %w", text, err)
	}
	return f, nil
}

func parsePath(text string) (string, error) {
	if after, ok := strings.CutPrefix(text, "//"); ok {
		host, _, _ := strings.Cut(after, "/")
		if host != "" {
			return "", fmt.Errorf("%q would be a server; a relative path has no slashes before it (sqlite:data/orderflow.db), an absolute one has three (sqlite:///var/lib/orderflow.db)", host)
		}
		text = after
	}
	path, err := url.PathUnescape(text)
	if err != nil {
		return "", fmt.Errorf("%w; write a percent sign as %%25", err)
	}
	if runtime.GOOS == "windows" && len(path) > 2 && path[0] == '/' && path[2] == ':' {
		path = path[1:] // sqlite:///C:/data/orderflow.db
	}
	switch {
	case path == "":
		return "", errors.New("it has no path; write one such as sqlite:data/orderflow.db")
	case path == ":memory:":
		return "", errors.New("a database in memory keeps nothing; the URL memory: says so")
	case strings.ContainsRune(path, 0):
		return "", errors.New("its path has a zero byte")
	case os.IsPathSeparator(path[len(path)-1]):
		return "", errors.New("its path is a folder; add the name of a file")
	}
	return path, nil
}

func (f *file) parseOptions(query string) error {
	options, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	for name, values := range options {
		if len(values) > 1 {
			return fmt.Errorf("option %s is set %d times", name, len(values))
		}
		switch value := values[0]; name {
		case "synchronous":
			f.synchronous = strings.ToUpper(value)
			switch {
			case slices.Contains([]string{"FULL", "EXTRA"}, f.synchronous):
			case slices.Contains([]string{"OFF", "NORMAL", "0", "1"}, f.synchronous):
				return fmt.Errorf("synchronous=%s would lose orders in a power loss; set full or extra", value)
			default:
				return fmt.Errorf("synchronous=%s does not exist; set full or extra", value)
			}
		case "cache_size":
			n, err := strconv.Atoi(value)
			if err != nil || n == 0 || n < -maxCacheKiB || n > maxCacheKiB/pageKiB {
				return fmt.Errorf("cache_size=%s must be a number of pages (1 to %d) or, if negative, of KiB (-1 to -%d)", value, maxCacheKiB/pageKiB, maxCacheKiB)
			}
			f.cacheSize = n
		default:
			return fmt.Errorf("option %s does not exist; the options are synchronous and cache_size", name)
		}
	}
	return nil
}

const pageKiB = 4 // SQLite's default

// maxLinks bounds the symbolic links that resolve follows.
const maxLinks = 40

// resolve returns the absolute path without symbolic links, as far as it exists. It also
// follows a link to a file that does not exist: the file would have another name as soon
// as it does.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range maxLinks {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real, nil
		}
		folder, name := filepath.Split(path)
		if real, err := filepath.EvalSymlinks(folder); err == nil {
			folder = real
		}
		path = filepath.Join(folder, name)
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // it is no link
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(folder, to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
}
