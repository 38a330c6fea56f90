package app

import "testing"

func TestSecretsOfFlags(t *testing.T) {
	for _, tt := range []struct {
		flag, value string
		want        bool
	}{
		{"smtp", "smtp://u:p@h/?from=a@example.com", true},
		{"smtp", "smtp://u@h/?from=a@example.com", false},
		{"store", "mongodb://u:p@h:27017,i:27017/d", true},
		{"store", "mongodb://h/d?tls=true", false},
		{"store", "mongodb://u:p%zz@h/d", true},
		{"store", "memory:", false},
		{"webhook", "https://h/x?key=1", true},
		{"webhook", "https://h/x", true}, // many receivers know their senders by the path
		{"webhook", "https://h/", false},
		{"alerts", "https://h/x?key=1", true},
		{"alerts", "mailto:ops@example.com", false},
	} {
		if got := hasSecret(tt.flag, tt.value); got != tt.want {
			t.Errorf("--%s=%s: %v, want %v", tt.flag, tt.value, got, tt.want)
		}
	}
}
