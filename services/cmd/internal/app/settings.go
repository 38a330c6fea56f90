package app

import (
	"context"
	"fmt"
	"math"
	"net"
	"time"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/services/order"
)

// Common are the settings that every executable has. The variables in their
// tags are the program's defaults.
type Common struct {
	Store  string `env:"STORE_URL" default:"${store}" placeholder:"URL" help:"Where orders are kept: mongodb://HOST:PORT/DATABASE, mongodb+srv://HOST/DATABASE, or memory: (default ${default})."`
	Broker string `env:"BROKER_URL" default:"${broker}" placeholder:"URL" help:"What carries events: amqp://USER:PASSWORD@HOST:PORT/VHOST, amqps://…, or, with both services in one process, memory: (default ${default})."`

	BrokerManagement string `env:"BROKER_MANAGEMENT_URL" placeholder:"URL" help:"The broker's management API, http://USER:PASSWORD@HOST:15672, to look for policies that would lose events; empty: no check."`

	LogLevel  string `env:"LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"Lowest level that is logged: ${enum}."`
	LogFormat string `env:"LOG_FORMAT" enum:"json,text" default:"${log_format}" help:"Form of the log: ${enum}."`

	StartTimeout    time.Duration `env:"START_TIMEOUT" default:"60s" help:"How long to wait for store and broker at the start."`
	RequestTimeout  time.Duration `env:"REQUEST_TIMEOUT" default:"10s" help:"How long an answer to a request may take."`
	IdleTimeout     time.Duration `env:"IDLE_TIMEOUT" default:"2m" help:"How long a connection may be idle; load balancers have to give up theirs earlier."`
	ShutdownDelay   time.Duration `env:"SHUTDOWN_DELAY" default:"3s" help:"How long to go on serving, unready, after SIGTERM or SIGHUP, until load balancers have learnt of it; not after ^C."`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" default:"10s" help:"How long what is in hand may take after that."`
}

// Shared returns the settings that every executable has.
func (c *Common) Shared() *Common { return c }

// Check refuses wrong settings; its error names the flag.
func (c *Common) Check() error {
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

// Consuming is the setting of how many events are handled at once.
type Consuming struct {
	Prefetch int `env:"PREFETCH" default:"512" help:"How many events may be in hand at once. So many notifications at most are repeated if the process is killed."`
}

// Check refuses a wrong setting; its error names the flag.
func (s *Consuming) Check() error {
	if s.Prefetch < 1 || s.Prefetch > math.MaxUint16 {
		return fmt.Errorf("--prefetch: %d is out of range; give 1 to %d, such as %d", s.Prefetch, math.MaxUint16, rabbitmq.DefaultPrefetch)
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

// listenTimeout bounds the look-up of a host's name.
const listenTimeout = 10 * time.Second

// listen listens on the address; its error names the flag.
func listen(flag, address string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), listenTimeout)
	defer cancel()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--%s: can't listen on %q: %w; give another HOST:PORT, or port 0 for any that is free", flag, address, err)
	}
	return listener, nil
}
