package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const maxSecret = 64 << 10 // bytes

// readTimeout bounds the reading of a secret: its file may be a pipe that nobody writes to.
const readTimeout = 10 * time.Second

// readSecret returns the content of the file without white space around it. Its errors
// show neither the content nor the path: see atPath.
func readSecret(path string) (string, error) {
	var data []byte
	done := make(chan error, 1)
	go func() { // may last until the process ends
		file, err := os.Open(path)
		if err == nil {
			defer file.Close()
			data, err = io.ReadAll(io.LimitReader(file, maxSecret+1))
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return "", withoutPath(err)
		}
	case <-time.After(readTimeout):
		return "", fmt.Errorf("the file could not be read within %v; is it a pipe?", readTimeout)
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("the file has more than %d KiB; a secret is shorter", maxSecret>>10)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", errors.New("the file is empty; write the secret into it")
	}
	return text, nil
}

// atPath returns the error with the file's path, unless the setting's text may be a secret
// that somebody gave instead of a path.
func atPath(path, setting string, err error) error {
	if err == nil || !isPath(path, setting) {
		return err
	}
	return fmt.Errorf("%q: %w", Redact(path), err)
}

// isPath reports whether the setting's text begins like a path, or names a folder that
// exists.
func isPath(path, setting string) bool {
	for _, begin := range []string{"/", "./", "../"} {
		if strings.HasPrefix(setting, begin) {
			return true
		}
	}
	if !strings.Contains(setting, "/") || strings.HasPrefix(setting, "whsec_") {
		return false
	}
	info, err := os.Stat(filepath.Dir(path))
	return err == nil && info.IsDir()
}

func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s file: %w", path.Op, path.Err)
	}
	return err
}

// readPassword returns the password in the file.
func readPassword(path string) (string, error) {
	text, err := readSecret(path)
	if err != nil {
		return "", err
	}
	if text, err = clean(text); err != nil {
		return "", fmt.Errorf("the file must have one value, on one line: %w", err)
	}
	return text, nil
}

// lookupSecret returns the value of the variable.
func lookupSecret(variable string) (string, error) {
	text := strings.TrimSpace(os.Getenv(variable))
	if text == "" {
		return "", errors.New("the environment variable of this name is not set, or empty; set it, or give a file")
	}
	return text, nil
}

const webhookSecret = "WEBHOOK_SECRET"

func webhookSecretIsSet() bool { return strings.TrimSpace(os.Getenv(webhookSecret)) != "" }
