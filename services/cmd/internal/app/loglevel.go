package app

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"example.com/orderflow/services/access"
	"example.com/orderflow/services/internal/httpapi"
)

var logLevels = []string{"debug", "info", "warn", "error"} // as --log-level names them

// levelHandler returns the handler of /log-level, which shows and changes the lowest level
// that the running service logs:
//
//	GET /log-level
//	PUT /log-level  {"level":"debug","by":"…"}; by is optional
func (c *Common) levelHandler(log *slog.Logger) http.Handler {
	write := func(w http.ResponseWriter) error {
		return httpapi.WriteJSON(w, http.StatusOK, struct {
			Level string `json:"level"`
		}{levelName(c.level.Level())})
	}
	api := httpapi.NewOperatorAPI(httpapi.Routes{"/log-level": {
		http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error { return write(w) },
		http.MethodPut: func(w http.ResponseWriter, r *http.Request) error {
			var level slog.Level
			var name, by string
			err := httpapi.ReadObject(w, r, "a log level",
				httpapi.Field{Name: "level", To: &name, Must: "must be one of " + strings.Join(logLevels, ", "), Valid: func() bool {
					return levelOf(name, &level)
				}},
				access.AuthorField(r, &by),
			)
			if err != nil {
				return err
			}
			c.setLevel(r, log, level, by)
			return write(w)
		},
	}}, log)
	return &api
}

// setLevel changes the level. The log's line about that is one of the lower level of both,
// so that it is logged.
func (c *Common) setLevel(r *http.Request, log *slog.Logger, to slog.Level, by string) {
	from := c.level.Level()
	if from == to {
		return
	}
	lower := min(from, to)
	c.level.Set(lower)
	log.Log(r.Context(), max(lower, slog.LevelInfo), "the log level was changed", "from", levelName(from), "to", levelName(to), "by", by)
	c.level.Set(to)
}

func levelName(level slog.Level) string { return strings.ToLower(level.String()) }

// levelOf reports whether the name is a level's.
func levelOf(name string, level *slog.Level) bool {
	return slices.Contains(logLevels, name) && level.UnmarshalText([]byte(name)) == nil
}
