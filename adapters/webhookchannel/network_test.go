package webhookchannel_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/orderflow/adapters/webhookchannel"
)

func TestIsPublicAddress(t *testing.T) {
	tests := map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "100.63.255.255": true, "100.128.0.0": true, "172.15.255.255": true,
		"172.32.0.0": true, "192.0.1.0": true, "198.17.255.255": true, "223.255.255.255": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.127.255.255": false,
		"127.0.0.1": false, "127.255.255.255": false, "169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.0.0.1": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": false, "198.18.0.1": false,
		"198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "239.255.255.255": false,
		"240.0.0.1": false, "255.255.255.255": false,
		"2606:4700::1111": true, "2a00:1450:4001:800::200e": true, "2001:4860:4860::8888": true,
		"::": false, "::1": false, "::127.0.0.1": false, "::8.8.8.8": false, "100::1": false, "fc00::1": false, "fd12::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "ff02::1": false, "ff0e::1": false,
		"2001::1": false, "2001:2::1": false, "2001:10::1": false, "2001:20::1": false, "2001:db8::1": false,
		"2002:7f00:1::": false, "2002:808:808::1": false, "3fff::1": false, "5f00::1": false, "4000::1": false,
		"::ffff:8.8.8.8": true, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false,
		"64:ff9b::808:808": true, "64:ff9b::7f00:1": false, "64:ff9b::a00:1": false, "64:ff9b:1::808:808": false,
	}
	for address, want := range tests {
		if got := webhookchannel.IsPublicAddress(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public is %t, want %t", address, got, want)
		}
	}
}

// names is a DNS server for every name.
type names struct {
	addresses atomic.Pointer[[]netip.Addr]
}

func (n *names) set(addresses ...string) {
	var list []netip.Addr
	for _, a := range addresses {
		list = append(list, netip.MustParseAddr(a))
	}
	n.addresses.Store(&list)
}

// resolver starts the server, and returns its client.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for buffer := make([]byte, 512); ; {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			conn.WriteTo(n.answer(buffer[:size]), from)
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer returns the addresses that fit the query's type.
func (n *names) answer(query []byte) []byte {
	const header = 12
	end := header
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root, type and class
	kind := binary.BigEndian.Uint16(query[end-4:])
	answer := slices.Clone(query[:end])
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	for _, a := range *n.addresses.Load() {
		if a.Is4() == (kind == 1) {
			raw := a.AsSlice()
			answer = append(answer, 0xc0, header, query[end-4], query[end-3], 0, 1, 0, 0, 0, 0, 0, byte(len(raw)))
			answer = append(answer, raw...)
			answer[7]++
		}
	}
	return answer
}

// listening returns a receiver at the IP address and port.
func listening(t *testing.T, address string) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("this machine has no such address: %v", err)
	}
	return newReceiver(t, func(s *httptest.Server) {
		s.Listener.Close()
		s.Listener = listener
		s.Config.ErrorLog = discard
	})
}

func TestSendRefusesNamesOfPrivateAddresses(t *testing.T) {
	r := newReceiver(t)
	for _, address := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		var dns names
		dns.set(address)
		c := newChannel(t, webhookchannel.Options{RootCAs: r.roots()})
		c.SetResolver(dns.resolver(t))
		_, err := c.Send(t.Context(), outgoing(t, "https://example.com"+r.port()+"/hooks/s3cretpath"))
		if mark(err) != "permanent" || !strings.Contains(err.Error(), "not public") || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), address) {
			t.Errorf("%s: got %v, want an error marked by Permanent that says why, without secrets and the address", address, err)
		}
	}
	if got := r.received(); len(got) != 0 {
		t.Errorf("%d webhooks received, want none", len(got))
	}
}

// In these tests 127.0.0.1 stands for all public addresses, and 127.0.0.2 for all
// private ones.
func isFirst(ip netip.Addr) bool { return ip == netip.MustParseAddr("127.0.0.1") }

func TestSendChecksTheAddressThatItDials(t *testing.T) {
	public := newReceiver(t)
	private := listening(t, "127.0.0.2"+public.port())
	var dns names
	c := newChannel(t, webhookchannel.Options{RootCAs: public.roots()})
	c.SetResolver(dns.resolver(t))
	c.SetPublic(isFirst)
	message := outgoing(t, "https://example.com"+public.port()+"/hooks/s3cretpath")

	send := func(what, want string, addresses ...string) {
		t.Helper()
		dns.set(addresses...)
		c.Close() // an open connection would be used again, and that is to a checked address
		if _, err := c.Send(t.Context(), message); mark(err) != want {
			t.Errorf("%s: got %q (%v), want %q", what, mark(err), err, want)
		}
	}
	send("public", "", "127.0.0.1")
	send("private the second time", "permanent", "127.0.0.2")
	send("private and public", "", "127.0.0.2", "127.0.0.1")
	public.server.Close()
	send("public, but it refuses connections, and private", "postponed", "127.0.0.1", "127.0.0.2")
	send("private, and public, but it refuses connections", "postponed", "127.0.0.2", "127.0.0.1")
	if got := len(public.received()); got != 2 {
		t.Errorf("the public receiver got %d webhooks, want 2", got)
	}
	if got := len(private.received()); got != 0 {
		t.Errorf("the private receiver got %d webhooks, want none", got)
	}
}

func TestSendPostponesUnknownNames(t *testing.T) {
	var dns names
	dns.set()
	c := newChannel(t, webhookchannel.Options{})
	c.SetResolver(dns.resolver(t))
	_, err := c.Send(t.Context(), outgoing(t, "https://example.com/hooks/s3cretpath"))
	if mark(err) != "postponed" || strings.Contains(err.Error(), "s3cret") || err.Error() != "look up the host: no such host (webhook to example.com)" {
		t.Errorf("got %v, want it marked by Postpone, without secrets and the server of names", err)
	}
}
