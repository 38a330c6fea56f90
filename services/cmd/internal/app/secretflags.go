package app

import (
	"log/slog"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"
)

// warnAboutSecretFlags logs which flags of the command line have a secret in their URL,
// because every user of the machine can read the command line.
func warnAboutSecretFlags(command *kong.Context, log *slog.Logger) {
	warned := make(map[string]bool)
	for _, part := range command.Path {
		if part.Flag == nil || warned[part.Flag.Name] {
			continue
		}
		if text, ok := command.FlagValue(part.Flag).(string); ok && hasSecret(part.Flag.Name, text) {
			warned[part.Flag.Name] = true
			log.Warn("the list of processes shows the secret in a flag's URL; set the URL by its variable instead",
				"flag", "--"+part.Flag.Name, "variable", strings.Join(part.Flag.Envs, ", "))
		}
	}
}

// hasSecret reports whether the flag's value is a URL with a password, or a webhook's URL
// with parameters, which may be secrets.
func hasSecret(flag, text string) bool {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL || scheme == "" {
		return false
	}
	u, err := url.Parse(text)
	if err != nil {
		return strings.Contains(rest, "@")
	}
	_, password := u.User.Password()
	return password || (flag == "webhook" || flag == "alerts") && (u.RawQuery != "" || strings.Trim(u.Path, "/") != "")
}
