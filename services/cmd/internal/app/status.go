package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"example.com/orderflow/services/internal/httpapi"
)

// Status says what runs.
type Status struct {
	Program       string    `json:"program"`
	Version       string    `json:"version"`
	Go            string    `json:"go"`
	Started       string    `json:"started"`
	UptimeSeconds int       `json:"uptime_seconds"`
	LogLevel      string    `json:"log_level"`
	Addresses     []string  `json:"addresses"` // of the services, not of the admin server
	Settings      []Setting `json:"settings"`

	started time.Time
}

// setStatus notes what runs, for /status.
func (c *Common) setStatus(program Program, settings Settings, command *kong.Context, files *fileVariables) {
	now := time.Now()
	c.status = Status{
		Program: program.Name, Version: version(), Go: runtime.Version(), Started: httpapi.FormatTime(now), started: now,
		Settings: shownSettings(command, files), Addresses: []string{},
	}
	for _, address := range settings.Addresses() {
		c.status.Addresses = append(c.status.Addresses, c.URL(address))
	}
}

// statusHandler returns the handler of /status:
//
//	GET /status    what runs, since when, and with which settings, without secrets
func (c *Common) statusHandler(log *slog.Logger) http.Handler {
	api := httpapi.NewOperatorAPI(httpapi.Routes{"/status": {
		http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error {
			status := c.status
			status.UptimeSeconds, status.LogLevel = int(time.Since(status.started).Seconds()), levelName(c.level.Level())
			return httpapi.WriteJSON(w, http.StatusOK, status)
		},
	}}, log)
	return &api
}

// AskAdmin asks the running service at its admin address, and decodes the answer.
func (c *Common) AskAdmin(ctx context.Context, path string, into any) error {
	err := getJSON(ctx, withAdminToken(c.OwnClient()), c.URL(c.AdminAddr)+path, into)
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("%s: %w", c.URL(c.AdminAddr), errNobodyListens)
	}
	if err != nil {
		return fmt.Errorf("ask the running service at --admin-addr: %w", err)
	}
	return nil
}

// getJSON gets the answer at the URL. It decodes an answer of 503, too: that
// of /readyz says what is down.
func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	const maxBody = 1 << 20
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err == nil && response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
		err = fmt.Errorf("%s: %s: %.200s", url, response.Status, body)
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	return err
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Address string            `json:"address"`
	Status  string            `json:"status"`
	Checks  map[string]string `json:"checks"`
}

// AskReadiness asks the service at the address whether it is ready.
func (s *ServerTLS) AskReadiness(ctx context.Context, address string) Readiness {
	r := Readiness{Address: address}
	if err := getJSON(ctx, s.OwnClient(), address+"/readyz", &r); err != nil || r.Status == "" {
		r.Status = "no answer"
	}
	r.Address = address
	return r
}
