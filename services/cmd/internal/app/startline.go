package app

import (
	"log/slog"
	"runtime"
	"strings"
)

// logStart logs what starts, with which store and broker, and where it will listen.
func logStart(program Program, settings Settings, log *slog.Logger) {
	c := settings.Shared()
	addresses := make([]string, 0, 3)
	for _, a := range append(settings.Addresses(), c.AdminAddr) {
		addresses = append(addresses, string(a))
	}
	line := []any{
		"program", program.Name, "version", version(), "go", runtime.Version(),
		"store", shownSetting("store", c.Store), "broker", shownSetting("broker", c.Broker), "addresses", strings.Join(addresses, " "),
	}
	if n, ok := settings.(interface{ notifying() *Notifying }); ok {
		line = append(line, "channels", n.notifying().channelNames())
	}
	if c.TLSCert != "" {
		line = append(line, "certificate", c.TLSCert)
	}
	if c.AuthJWKS != "" {
		line = append(line, "keys_of_tokens", shownSetting("auth-jwks", c.AuthJWKS), "issuer", c.AuthIssuer, "audience", c.AuthAudience)
	}
	log.Info("starting", line...)
	if open := openAddresses(settings.Addresses()); c.AuthJWKS == "" && len(open) > 0 {
		log.Warn("everybody who reaches these addresses can read and place the orders of all users: nobody is asked for a token; set --auth-jwks (AUTH_JWKS), or put something in front that has a login",
			"addresses", strings.Join(open, " "))
	}
}

// openAddresses returns those of the addresses that other machines may reach.
func openAddresses(addresses []Address) (open []string) {
	for _, a := range addresses {
		if !a.isLoopback() {
			open = append(open, string(a))
		}
	}
	return open
}

// channelNames returns the names of the channels of the flags, and the file that has
// others. The start reads the file later, and logs each channel.
func (n *Notifying) channelNames() string {
	names := []string{kindLog}
	if n.SMTP != "" {
		names = append(names, "email")
	}
	if n.hasWebhook() {
		names = append(names, "webhook")
	}
	if n.ChannelsFile != "" {
		names = append(names, "and those of --channels")
	}
	return strings.Join(names, " ")
}
