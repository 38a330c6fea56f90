package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/access"
)

// AdminAccess has the settings of who may use the admin address.
type AdminAccess struct {
	AdminTokensFile     string `env:"ADMIN_TOKENS_FILE" placeholder:"FILE" help:"Tokens for the admin address, as the command token new makes them; without one, requests are refused then. It is read again when it changes."`
	AdminTrustHeader    string `env:"ADMIN_TRUST_HEADER" placeholder:"NAME" help:"Header in which a proxy in front of the admin address gives the caller's name, such as X-Forwarded-User."`
	AdminTrustFrom      string `env:"ADMIN_TRUST_FROM" placeholder:"ADDRESS,…" help:"Addresses or networks of the proxy, such as 10.0.0.5 or 10.1.0.0/16: that header, and X-Forwarded-Proto, are believed from no other."`
	AdminTrustOperators string `env:"ADMIN_TRUST_OPERATORS" placeholder:"NAME,…" help:"Names from the proxy that may change things, or *; the others may look only."`
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// Validate refuses wrong settings; its error names the flag.
func (a *AdminAccess) Validate() error {
	switch {
	case a.AdminTrustHeader == "" && a.AdminTrustOperators != "":
		return errors.New("--admin-trust-operators: there is no header to trust; set --admin-trust-header, too")
	case a.AdminTrustHeader == "":
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
		switch {
		case err != nil || prefix.Addr().Is4In6():
			return p, fmt.Errorf("--admin-trust-from: %.100q is not an address or a network; give one such as 10.0.0.5 or 10.1.0.0/16", text)
		case prefix.Bits() == 0:
			return p, fmt.Errorf("--admin-trust-from: %.100q is everybody, who could take any name; give the addresses of the proxy", text)
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

// openGuard makes the guard of the admin address, before anything is waited for. Where nobody
// is asked, only this machine may reach the address.
func (c *Common) openGuard(log *slog.Logger) error {
	proxy, err := c.proxy()
	if err != nil {
		return err
	}
	var tokens *access.TokensFile
	if c.AdminTokensFile != "" {
		if tokens, err = access.OpenTokens(c.AdminTokensFile, log); err != nil {
			return fmt.Errorf("--admin-tokens-file: %q: %w; make a token by the command token new", c.AdminTokensFile, withoutPath(err))
		}
	}
	c.guard = access.NewGuard(tokens, proxy, log)
	switch {
	case !c.guard.Asks() && !c.AdminAddr.isLoopback():
		return c.openToOthers(string(c.AdminAddr))
	case tokens != nil && c.TLSCert == "" && !c.AdminAddr.isLoopback():
		log.Warn("tokens for operators travel without encryption to the admin address; set --tls-cert and --tls-key (TLS_CERT, TLS_KEY), or put a proxy with a certificate in front", "address", string(c.AdminAddr))
	}
	return nil
}

// CheckAdmin returns what there is to say about who may use the admin address.
func (c *Common) CheckAdmin() []ports.Finding {
	f := ports.Finding{What: "address", Value: string(c.AdminAddr)}
	if err := c.openGuard(slog.New(slog.DiscardHandler)); err != nil {
		f.Fault, f.WayOut, _ = strings.Cut(err.Error(), "; ")
	}
	return []ports.Finding{f}
}

// checkListener returns an error if the guard asks nobody and other machines reach the listener.
func (c *Common) checkListener(listener net.Listener) error {
	if address, ok := listener.Addr().(*net.TCPAddr); !c.guard.Asks() && !(ok && address.IP.IsLoopback()) {
		return c.openToOthers(listener.Addr().String())
	}
	return nil
}

func (c *Common) openToOthers(address string) error {
	_, port, _ := net.SplitHostPort(address)
	return fmt.Errorf("--admin-addr: other machines reach %s, and nobody would be asked who they are; give localhost:%s, or set --admin-tokens-file (the command token new makes one), or --admin-trust-header and --admin-trust-from behind a proxy",
		address, port)
}
