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

// decoding returns the option that passes every setting, from a flag or a variable,
// through [clean], and checks addresses.
func decoding() kong.Option {
	registry := kong.NewRegistry().RegisterDefaults()
	mapper := func(of reflect.Type) kong.Mapper { return cleaned{registry.ForType(of)} }
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(
			kong.KindMapper(reflect.String, mapper(reflect.TypeFor[string]())).Apply(k),
			kong.KindMapper(reflect.Int, mapper(reflect.TypeFor[int]())).Apply(k),
			kong.TypeMapper(reflect.TypeFor[time.Duration](), cleaned{kong.MapperFunc(decodeDuration)}).Apply(k),
			kong.TypeMapper(reflect.TypeFor[Address](), cleaned{kong.MapperFunc(decodeAddress)}).Apply(k),
			kong.TypeMapper(reflect.TypeFor[Days](), cleaned{kong.MapperFunc(decodeDays)}).Apply(k),
		)
	})
}

func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration; give one such as 10s or 1m30s", text)
	}
	target.SetInt(int64(d))
	return nil
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

// clean returns the value without white space at its end, such as the newline of a
// secret's file. It refuses other control characters, which can only be a mistake.
// Its error does not show the value, which may be secret.
func clean(value string) (string, error) {
	value = strings.TrimRightFunc(value, unicode.IsSpace)
	position := 0
	for i, r := range value {
		position++
		switch _, size := utf8.DecodeRuneInString(value[i:]); {
		case r == utf8.RuneError && size == 1:
			return "", fmt.Errorf("character %d is not valid UTF-8; remove it", position)
		case unicode.IsControl(r):
			return "", fmt.Errorf("character %d is the control character %U; remove it", position, r)
		}
	}
	return value, nil
}
