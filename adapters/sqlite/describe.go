package sqlite

import (
	"encoding/json"

	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

// describing adds the functions of operators.sql to the connection. They return an empty
// text for what they can't read.
func describing(conn *sqlite3.Conn) error {
	for name, of := range map[string]func(sqlite3.Value) string{
		"event_type_of": func(v sqlite3.Value) string {
			message, _ := decodeMessage(v.Text(), nil)
			eventType, _ := wire.Describe(message)
			return eventType
		},
		"user_id_of": func(v sqlite3.Value) string {
			_, userID := wire.Describe(ports.Message{Body: v.RawBlob()})
			return userID
		},
		"reason_group_of": func(v sqlite3.Value) string {
			var failures []failure
			if json.Unmarshal(v.RawText(), &failures) != nil || len(failures) == 0 {
				return ""
			}
			return ports.ReasonGroup(failures[len(failures)-1].Reason)
		},
	} {
		err := conn.CreateFunction(name, 1, sqlite3.DETERMINISTIC, func(ctx sqlite3.Context, arg ...sqlite3.Value) { ctx.ResultText(of(arg[0])) })
		if err != nil {
			return err
		}
	}
	return nil
}
