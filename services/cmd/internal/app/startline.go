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
	log.Info("starting", line...)
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
