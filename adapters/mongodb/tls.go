package mongodb

import (
	"context"
	"fmt"
	"net"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/tlscheck"
)

var tlsHints = tlscheck.Hints{Authorities: "the URL's option tlsCAFile", Client: "the URL's option tlsCertificateKeyFile"}

// withPort returns the host with a port.
func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err != nil {
		return net.JoinHostPort(host, "27017")
	}
	return host
}

// explainTLS adds to the error of a failed connection by TLS why the server refuses the
// client's certificate, if it does, or what else is wrong with a certificate. If the error
// does not say it, another connection finds it out.
func explainTLS(ctx context.Context, opts *options.ClientOptions, err error) error {
	if opts.TLSConfig == nil || ctx.Err() != nil {
		return err
	}
	fault, wayOut := tlscheck.Explain(err, tlsHints)
	for _, host := range opts.Hosts {
		if fault != "" {
			break
		}
		if refusal := tlscheck.Refusal(ctx, withPort(host), opts.TLSConfig); refusal != nil {
			fault, wayOut = tlscheck.Explain(refusal, tlsHints)
			wayOut += fmt.Sprintf("; another connection got: %v", refusal)
		}
	}
	if fault == "" {
		return err
	}
	return fmt.Errorf("%w (%s: %s)", err, fault, wayOut)
}
