package app

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// cleaning has every setting, given by a flag or a variable, pass [clean]
// before it is read.
func cleaning() kong.Option {
	registry := kong.NewRegistry().RegisterDefaults()
	mapper := func(of reflect.Type) kong.Mapper { return cleaned{registry.ForType(of)} }
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(
			kong.KindMapper(reflect.String, mapper(reflect.TypeFor[string]())).Apply(k),
			kong.KindMapper(reflect.Int, mapper(reflect.TypeFor[int]())).Apply(k),
			kong.TypeMapper(reflect.TypeFor[time.Duration](), mapper(reflect.TypeFor[time.Duration]())).Apply(k),
		)
	})
}

type cleaned struct{ kong.Mapper }

func (c cleaned) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if token := ctx.Scan.Peek(); token.IsValue() {
		text, err := clean(ctx.Scan.Pop().String())
		if err != nil {
			return err
		}
		ctx.Scan.PushTyped(text, token.Type)
	}
	return c.Mapper.Decode(ctx, target)
}

// clean returns the value without white space at its end, such as the newline
// of a file that a secret was read from. It refuses other control characters,
// which can only be a mistake, and never shows the value, which may be secret.
func clean(value string) (string, error) {
	value = strings.TrimRightFunc(value, unicode.IsSpace)
	position := 0
	for i, r := range value {
		position++
		switch _, size := utf8.DecodeRuneInString(value[i:]); {
		case r == utf8.RuneError && size == 1:
			return "", fmt.Errorf("character %d is no valid UTF-8; take it out", position)
		case unicode.IsControl(r):
			return "", fmt.Errorf("character %d is the control character %U; take it out", position, r)
		}
	}
	return value, nil
}
