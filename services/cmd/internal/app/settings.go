package app

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/services/access"
	"example.com/orderflow/services/order"
)

// Common has the settings of every executable. A ${…} in a tag is the program's
// default.
type Common struct {
	folder string               // of the data
	data   string               // URL of the file in the data folder; empty: the program has none
	files  map[string]*openFile // by path
	level  slog.LevelVar        // of the log
	status Status               // of a running service

	metrics http.Handler  // nil until the telemetry was started
	guard   *access.Guard // of the admin address; nil until a service starts

	AdminAddr Address `env:"ADMIN_ADDR" default:"localhost:${admin_port}" help:"Address for operators: the console, the account, metrics. Other machines may reach it only if it asks for tokens, or trusts a proxy."`
	AdminAccess

	PrintConfig bool `help:"Print the settings with their sources, without secrets, and exit."`

	Store  string `env:"STORE_URL" filevar:"STORE_URL_FILE" default:"${store}" placeholder:"URL" help:"URL of the store: mongodb://HOST:PORT/DATABASE, mongodb+srv://HOST/DATABASE, sqlite:PATH, or memory: (default ${default}). STORE_URL_FILE may name a file that has it."`
	Broker string `env:"BROKER_URL" filevar:"BROKER_URL_FILE" default:"${broker}" placeholder:"URL" help:"URL of the broker: amqp://USER:PASSWORD@HOST:PORT/VHOST, amqps://…, sqlite:PATH of a file that the services share, or memory: if both run in one process (default ${default}). BROKER_URL_FILE may name a file that has it."`

	BrokerManagement string `env:"BROKER_MANAGEMENT_URL" filevar:"BROKER_MANAGEMENT_URL_FILE" placeholder:"URL" help:"RabbitMQ's management API, http://USER:PASSWORD@HOST:15672, to check for policies that would lose events; empty: no check. BROKER_MANAGEMENT_URL_FILE may name a file that has it."`

	ServerTLS
	Authentication

	AutoIndex bool `env:"AUTO_INDEX" default:"true" negatable:"" help:"Build missing indexes of MongoDB at the start. Without it, the start says which are missing, and the command indexes builds them."`

	LogLevel  string `env:"LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"Lowest level to log: ${enum}."`
	LogFormat string `env:"LOG_FORMAT" enum:"json,text" default:"${log_format}" help:"Format of the log: ${enum}."`

	StartTimeout    time.Duration `env:"START_TIMEOUT" default:"60s" help:"How long to wait for store and broker at the start, up to 1h."`
	RequestTimeout  time.Duration `env:"REQUEST_TIMEOUT" default:"10s" help:"How long the answer to a request may take, up to 1h."`
	IdleTimeout     time.Duration `env:"IDLE_TIMEOUT" default:"2m" help:"How long a connection may be idle, up to 1h; load balancers must close theirs earlier."`
	ShutdownDelay   time.Duration `env:"SHUTDOWN_DELAY" default:"3s" help:"How long to keep serving after SIGTERM or SIGHUP, up to 1h, so that load balancers see /readyz answer 503 and send no more requests; no delay after ^C."`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" default:"10s" help:"How long unfinished work may take after the shutdown delay, up to 1h."`
}

// Shared returns the settings of every executable.
func (c *Common) Shared() *Common { return c }

// Validate refuses wrong settings; its error names the flag. Kong calls the Validate
// of each embedded struct.
func (c *Common) Validate() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"start-timeout", c.StartTimeout}, {"request-timeout", c.RequestTimeout}, {"idle-timeout", c.IdleTimeout}, {"shutdown-timeout", c.ShutdownTimeout}} {
		if d.value <= 0 || d.value > time.Hour {
			return fmt.Errorf("--%s: %v is out of range; give more than 0 and at most 1h, such as 30s", d.flag, d.value)
		}
	}
	if c.ShutdownDelay < 0 || c.ShutdownDelay > time.Hour {
		return fmt.Errorf("--shutdown-delay: %v is out of range; give 0 to 1h, such as 3s", c.ShutdownDelay)
	}
	return c.checkManagement()
}

// Intake has the settings of a program that takes orders.
type Intake struct {
	MaxInFlight int `env:"MAX_IN_FLIGHT" default:"4096" help:"How many orders may be under way at once, 1 or more; the answer to further ones is 503."`

	RateLimit   string `env:"RATE_LIMIT" placeholder:"N/PERIOD" help:"Requests that a client may send, such as 10/s, 600/min or 5000/h, and as many at once; the answer to others is 429. Empty: no limit."`
	RateLimitBy string `env:"RATE_LIMIT_BY" enum:"address,authorization" default:"address" help:"What tells clients apart: the address of the connection (IPv6: its /64), or authorization: the user of the token, or without --auth-jwks the header Authorization, which something in front of the service has to check."`
}

// Validate refuses a wrong setting; its error names the flag.
func (i *Intake) Validate() error {
	if i.MaxInFlight < 1 {
		return fmt.Errorf("--max-in-flight: %d is out of range; give 1 or more, such as %d", i.MaxInFlight, order.DefaultMaxInFlight)
	}
	_, err := i.rateLimit()
	return err
}

// Configure sets the handler's bounds.
func (i *Intake) Configure(h *order.Handler) {
	h.MaxInFlight = i.MaxInFlight
	h.RateLimit, _ = i.rateLimit() // Validate has checked it
}

func (i *Intake) rateLimit() (order.RateLimit, error) {
	const maxRequests = 1_000_000
	limit := order.RateLimit{ByAuthorization: i.RateLimitBy == "authorization"}
	if i.RateLimit == "" {
		if limit.ByAuthorization {
			return order.RateLimit{}, errors.New("--rate-limit-by: there is no limit; set --rate-limit, too")
		}
		return limit, nil
	}
	number, unit, _ := strings.Cut(i.RateLimit, "/")
	limit.Period = map[string]time.Duration{"s": time.Second, "min": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.Atoi(number)
	if err != nil || limit.Period == 0 {
		return order.RateLimit{}, fmt.Errorf("--rate-limit: %q is not a rate; give a number and s, min or h, such as 10/s or 600/min", i.RateLimit)
	}
	if n < 1 || n > maxRequests {
		return order.RateLimit{}, fmt.Errorf("--rate-limit: %q is out of range; give 1 to %d requests, or leave it out for no limit", i.RateLimit, maxRequests)
	}
	limit.Requests = n
	return limit, nil
}

// Consuming has the setting of a program that consumes events.
type Consuming struct {
	Prefetch int `env:"PREFETCH" default:"512" help:"How many events may be under way at once by the channel log, 1 to 65535. If the process is killed, at most this many notifications are repeated."`
}

// Validate refuses a wrong setting; its error names the flag.
func (s *Consuming) Validate() error {
	if s.Prefetch < 1 || s.Prefetch > math.MaxUint16 {
		return fmt.Errorf("--prefetch: %d is out of range; give 1 to %d, such as %d", s.Prefetch, math.MaxUint16, rabbitmq.DefaultPrefetch)
	}
	return nil
}
