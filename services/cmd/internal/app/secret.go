package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const maxSecret = 64 << 10 // bytes

// readSecret returns the content of the file without white space at its end. Its
// errors do not show the content.
func readSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", err
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
		return "", fmt.Errorf("the environment variable %s is not set; set it, or give a file", variable)
	}
	return text, nil
}

const webhookSecret = "WEBHOOK_SECRET"

func webhookSecretIsSet() bool { return strings.TrimSpace(os.Getenv(webhookSecret)) != "" }
