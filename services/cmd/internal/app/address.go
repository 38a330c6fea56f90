package app

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"slices"
	"time"

	"github.com/alecthomas/kong"
)

const lookupTimeout = 10 * time.Second // of a host's name

// Address is a HOST:PORT to listen at.
type Address string

// decodeAddress refuses an address without a valid port.
func decodeAddress(ctx *kong.DecodeContext, target reflect.Value) error {
	var address string
	if err := ctx.Scan.PopValueInto("address", &address); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address to listen at; give HOST:PORT, such as localhost:8080, or :8080 for every interface", address)
	}
	target.SetString(address)
	return nil
}

// Listen listens at the address; its error names the flag.
func (a Address) Listen(flag string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", string(a))
	if err != nil {
		return nil, fmt.Errorf("--%s: can't listen at %q: %w; give another HOST:PORT, or port 0 for any free one", flag, string(a), err)
	}
	return listener, nil
}

// isLoopback reports whether only this machine reaches any of the addresses that the host's
// name has. A name that can't be looked up counts: nobody can listen there.
func (a Address) isLoopback() bool {
	host, _, _ := net.SplitHostPort(string(a))
	if host == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, _ := net.DefaultResolver.LookupIPAddr(ctx, host)
	return !slices.ContainsFunc(found, func(ip net.IPAddr) bool { return !ip.IP.IsLoopback() })
}

// URL returns the URL for requests from this machine.
func (a Address) URL() string {
	host, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return "http://" + string(a)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() || host == "127.0.0.1" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
