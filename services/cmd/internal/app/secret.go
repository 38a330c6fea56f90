package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const maxSecret = 64 << 10 // bytes

// readSecret returns the content of the file without white space around it. Its errors
// show neither the content nor the path, because somebody may give the secret as the path.
func readSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", withoutPath(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", withoutPath(err)
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
		return "", fmt.Errorf("the file is not a password on one line: %w", err)
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
