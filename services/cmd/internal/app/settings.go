package app

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"example.com/orderflow/services/internal/requestid"
	"example.com/orderflow/services/order"
)

// Common are the settings that every executable has. The variables in their
// tags are the program's defaults.
type Common struct {
	Store  string `env:"STORE_URL" default:"${store}" placeholder:"URL" help:"Where orders are kept: mongodb://HOST:PORT/DATABASE, mongodb+srv://HOST/DATABASE, or memory: (default ${default})."`
	Broker string `env:"BROKER_URL" default:"${broker}" placeholder:"URL" help:"What carries events: amqp://USER:PASSWORD@HOST:PORT/VHOST, amqps://…, or, with both services in one process, memory: (default ${default})."`

	LogLevel  string `env:"LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"Lowest level that is logged: ${enum}."`
	LogFormat string `env:"LOG_FORMAT" enum:"json,text" default:"${log_format}" help:"Form of the log: ${enum}."`

	StartTimeout    time.Duration `env:"START_TIMEOUT" default:"60s" help:"How long to wait for store and broker at the start."`
	RequestTimeout  time.Duration `env:"REQUEST_TIMEOUT" default:"10s" help:"How long an answer to a request may take."`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" default:"10s" help:"How long what is in hand may take after SIGTERM."`
}

// Shared returns the settings that every executable has.
func (c *Common) Shared() *Common { return c }

// Check refuses wrong settings; its error names the flag.
func (c *Common) Check() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"start-timeout", c.StartTimeout}, {"request-timeout", c.RequestTimeout}, {"shutdown-timeout", c.ShutdownTimeout}} {
		if d.value <= 0 || d.value > time.Hour {
			return fmt.Errorf("--%s: %v is out of range; give more than 0 and at most 1h, such as 30s", d.flag, d.value)
		}
	}
	return nil
}

// Intake is the setting of how many orders are taken at once.
type Intake struct {
	MaxInFlight int `env:"MAX_IN_FLIGHT" default:"4096" help:"How many orders may be in hand at once; more are answered 503."`
}

// Check refuses a wrong setting; its error names the flag.
func (i *Intake) Check() error {
	if i.MaxInFlight < 1 {
		return fmt.Errorf("--max-in-flight: %d is out of range; give 1 or more, such as %d", i.MaxInFlight, order.DefaultMaxInFlight)
	}
	return nil
}

// CheckAddress refuses what is no address to listen at.
func CheckAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("--%s: %q is no address to listen at; give HOST:PORT, such as localhost:8080, or :8080 for every interface", flag, address)
	}
	return nil
}

// LogHandler returns the log's handler at the level that is set. Lines of a
// request have its id.
func (c *Common) LogHandler(out io.Writer) slog.Handler {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		panic(err) // the enum allows no others
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" {
		return requestid.Handler(slog.NewTextHandler(out, options))
	}
	return requestid.Handler(slog.NewJSONHandler(out, options))
}

// listen listens on the address; its error names the flag.
func listen(flag, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--%s: can't listen on %q: %w; give a free HOST:PORT, such as localhost:8080, or :8080 for every interface", flag, address, err)
	}
	return listener, nil
}
