package app

import "testing"

func TestAddressURL(t *testing.T) {
	for address, want := range map[Address]string{
		":8080": "http://localhost:8080", "0.0.0.0:80": "http://localhost:80", "[::]:80": "http://localhost:80",
		"127.0.0.1:80": "http://localhost:80", "10.0.0.1:80": "http://10.0.0.1:80", "shop:80": "http://shop:80",
	} {
		if got := address.URL(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
