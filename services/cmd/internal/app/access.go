package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"example.com/orderflow/services/access"
)

// AdminAccess has the settings of who may use the admin address.
type AdminAccess struct {
	AdminTokensFile     string `env:"ADMIN_TOKENS_FILE" placeholder:"FILE" help:"Tokens for the admin address, as the command token new makes them; without one, requests are refused then. It is read again when it changes."`
	AdminTrustHeader    string `env:"ADMIN_TRUST_HEADER" placeholder:"NAME" help:"Header in which a proxy in front of the admin address gives the caller's name, such as X-Forwarded-User."`
	AdminTrustFrom      string `env:"ADMIN_TRUST_FROM" placeholder:"ADDRESS,…" help:"Addresses or networks of that proxy, such as 10.0.0.5 or 10.1.0.0/16; from any other, the header says nothing."`
	AdminTrustOperators string `env:"ADMIN_TRUST_OPERATORS" placeholder:"NAME,…" help:"Names from the proxy that may change things, or *; the others may look only."`
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// Validate refuses wrong settings; its error names the flag.
func (a *AdminAccess) Validate() error {
	switch {
	case a.AdminTrustHeader == "" && a.AdminTrustFrom != "":
		return errors.New("--admin-trust-from: there is no header to trust; set --admin-trust-header, too")
	case a.AdminTrustHeader == "" && a.AdminTrustOperators != "":
		return errors.New("--admin-trust-operators: there is no header to trust; set --admin-trust-header, too")
	case a.AdminTrustHeader == "":
		return nil
	case !headerName.MatchString(a.AdminTrustHeader) || strings.EqualFold(a.AdminTrustHeader, "Authorization") || strings.EqualFold(a.AdminTrustHeader, "Cookie"):
		return fmt.Errorf("--admin-trust-header: %.100q is not the name of a header for names; give one such as X-Forwarded-User", a.AdminTrustHeader)
	case a.AdminTrustFrom == "":
		return errors.New("--admin-trust-header: everybody could take any name; set --admin-trust-from to the addresses of the proxy")
	}
	_, err := a.proxy()
	return err
}

func (a *AdminAccess) proxy() (access.Proxy, error) {
	p := access.Proxy{Header: a.AdminTrustHeader, Operators: listed(a.AdminTrustOperators)}
	for _, text := range listed(a.AdminTrustFrom) {
		prefix, err := netip.ParsePrefix(text)
		if address, notOne := netip.ParseAddr(text); notOne == nil {
			address = address.Unmap()
			prefix, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return p, fmt.Errorf("--admin-trust-from: %.100q is not an address or a network; give one such as 10.0.0.5 or 10.1.0.0/16", text)
		}
		p.From = append(p.From, prefix)
	}
	return p, nil
}

// listed returns the parts of a list with commas.
func listed(text string) (parts []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// guard returns the guard of the admin address. Where nobody is asked, only this machine may
// reach it.
func (a *AdminAccess) guard(listener net.Listener, log *slog.Logger) (*access.Guard, error) {
	proxy, err := a.proxy()
	if err != nil {
		return nil, err
	}
	var tokens *access.TokensFile
	if a.AdminTokensFile != "" {
		if tokens, err = access.OpenTokens(a.AdminTokensFile, log); err != nil {
			return nil, fmt.Errorf("--admin-tokens-file: %q: %w; make a token by the command token new", a.AdminTokensFile, withoutPath(err))
		}
	}
	guard := access.NewGuard(tokens, proxy, log)
	if address, ok := listener.Addr().(*net.TCPAddr); !guard.Asks() && !(ok && address.IP.IsLoopback()) {
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		return nil, fmt.Errorf("--admin-addr: other machines reach %s, and nobody would be asked who they are; give localhost:%s, or set --admin-tokens-file (the command token new makes one), or --admin-trust-header behind a proxy",
			listener.Addr(), port)
	}
	return guard, nil
}
