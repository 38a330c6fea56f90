package wire

import (
	"fmt"
	"strings"
)

// The schema of an order.created body: a name, the major version and the minor
// version. A new field makes the next minor version, which consumers of the same major
// version read without it. Any other change makes the next major version, which they
// refuse.
const (
	orderCreatedName   = "urn:orderflow:order.created:"
	orderCreatedMajor  = "1"
	orderCreatedSchema = orderCreatedName + orderCreatedMajor + ".0"
)

// checkSchema returns an error if the body has a schema of another name or major
// version. A message without a schema is of major version 1, whose first messages did
// not name it.
func checkSchema(headers map[string]string) error {
	schema, given := headers[HeaderDataSchema]
	if !given {
		return nil
	}
	version, ok := strings.CutPrefix(schema, orderCreatedName)
	if !ok {
		return fmt.Errorf("header %s is %.100q, want %q", HeaderDataSchema, schema, orderCreatedSchema)
	}
	if major, _, _ := strings.Cut(version, "."); major != orderCreatedMajor {
		return fmt.Errorf("header %s is %.100q, and this version of orderflow reads major version %s: update it, then replay the dead letter",
			HeaderDataSchema, schema, orderCreatedMajor)
	}
	return nil
}
