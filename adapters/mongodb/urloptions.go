package mongodb

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	neturl "net/url"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

// option is one of a URL's, as it stands there.
type option struct {
	text string
	name string // in lower case
}

// value returns the option's value, or its text where that can't be read.
func (o option) value() string {
	_, value, _ := strings.Cut(o.text, "=")
	if read, err := neturl.QueryUnescape(value); err == nil {
		return read
	}
	return value
}

func (o option) isOneOf(names ...string) bool { return slices.Contains(names, o.name) }

// shown returns the option's name as it is written. What is no name, or stands
// in what may be the rest of a password, is not shown.
func (o option) shown() string {
	name, _, _ := strings.Cut(o.text, "=")
	letters := strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz_") == ""
	if name == "" || !letters || strings.Contains(o.text, "@") {
		return "…"
	}
	return name
}

func shown(all []option) string {
	var names []string
	for _, o := range all {
		names = append(names, o.shown())
	}
	return strings.Join(names, ", ")
}

// optionsOf returns the options of a URL as the driver reads them. One in which
// there might be a part of a password has none.
func optionsOf(url string) []option {
	_, rest, _ := strings.Cut(url, "://")
	if _, behind, ok := strings.Cut(rest, "@"); ok {
		rest = behind
	}
	address, query, _ := strings.Cut(rest, "?")
	if !strings.Contains(address, "/") {
		return nil
	}
	var all []option
	for text := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(text, "=")
		if read, err := neturl.QueryUnescape(name); err == nil {
			name = read
		}
		all = append(all, option{text: text, name: strings.ToLower(name)})
	}
	return all
}

var (
	caOptions          = []string{"tlscafile", "sslcertificateauthorityfile"}
	certificateOptions = []string{"tlscertificatekeyfile", "sslclientcertificatekeyfile", "tlscertificatefile", "tlsprivatekeyfile"}
	passwordOptions    = []string{"tlscertificatekeyfilepassword", "sslclientcertificatekeypassword"}
	otherTLSOptions    = []string{"tlsinsecure", "sslinsecure", "tlsdisableocspendpointcheck", "tlsdisablecertificaterevocationcheck"}
	tlsOptions         = slices.Concat(caOptions, certificateOptions, passwordOptions, otherTLSOptions)

	compressors = []string{"snappy", "zlib", "zstd"}
)

// checkOptions returns an error that names the option which can't be read, or
// which the driver would pass over in silence. No value is shown.
func checkOptions(all []option) error {
	for _, o := range all {
		if err := checkOption(o); err != nil {
			return fmt.Errorf("option %s: %w", o.shown(), err)
		}
	}
	return checkFiles(all)
}

func checkOption(o option) error {
	if o.isOneOf("srvmaxhosts", "srvservicename") { // which only a URL with a name server's answer may have
		return nil
	}
	read, err := connstring.Parse("mongodb://localhost/?" + o.text)
	switch {
	case err != nil:
		return errors.New(hideQuoted(err))
	case len(read.UnknownOptions) > 0:
		return errors.New("there is no such option")
	case o.isOneOf("sockettimeoutms"):
		return errors.New("it has no effect; set timeoutMS")
	case o.isOneOf("readpreferencetags", "maxstaleness", "maxstalenessseconds"):
		return errors.New("it has no effect, for all reads go to the primary; leave it out")
	}
	if o.isOneOf("readpreference") {
		if _, err := readpref.ModeFromString(o.value()); err != nil {
			return errors.New("invalid value")
		}
	}
	for _, name := range read.Compressors {
		if !slices.Contains(compressors, name) {
			return fmt.Errorf("invalid value; the compressors are %s", strings.Join(compressors, ", "))
		}
	}
	return nil
}

// promised are the options which the promises rest on, with the value that the
// adapter sets whatever the URL says.
var promised = map[string]string{
	"w":                "majority",
	"journal":          "true",
	"readconcernlevel": "local",
	"readpreference":   "primary",
}

// otherNames are the old names of options, or the second ones.
var otherNames = map[string]string{
	"ssl":                             "tls",
	"sslclientcertificatekeyfile":     "tlscertificatekeyfile",
	"sslclientcertificatekeypassword": "tlscertificatekeyfilepassword",
	"sslcertificateauthorityfile":     "tlscafile",
	"sslinsecure":                     "tlsinsecure",
	"heartbeatintervalms":             "heartbeatfrequencyms",
}

// checkEffect returns an error that names the option which would not have the
// effect that its value asks for.
func checkEffect(all []option) error {
	given := make(map[string]bool)
	for _, o := range all {
		name := cmp.Or(otherNames[o.name], o.name)
		value, isPromised := promised[o.name]
		switch {
		case isPromised && o.value() != value:
			return fmt.Errorf("option %s: the adapter sets it, to %s; leave it out", o.shown(), value)
		case given[name]:
			return fmt.Errorf("option %s: it is given twice; leave one out", o.shown())
		case name == "replicaset" && o.value() == "":
			return fmt.Errorf("option %s: it has no value; name the replica set, or leave it out", o.shown())
		}
		given[name] = true
	}
	return nil
}

// checkFiles reads the files that the options name: those of the client's
// certificate together.
func checkFiles(all []option) error {
	var certificate []option
	for _, o := range all {
		switch {
		case o.isOneOf(caOptions...):
			if err := readFiles([]option{o}); err != nil {
				return err
			}
		case o.isOneOf(slices.Concat(certificateOptions, passwordOptions)...):
			certificate = append(certificate, o)
		}
	}
	if len(certificate) == 0 {
		return nil
	}
	if !slices.ContainsFunc(certificate, func(o option) bool { return o.isOneOf(certificateOptions...) }) {
		return fmt.Errorf("option %s: there is no file to read with it; set tlsCertificateKeyFile", shown(certificate))
	}
	return readFiles(certificate)
}

func readFiles(named []option) error {
	query := []string{"tls=true"}
	for _, o := range named {
		query = append(query, o.text)
	}
	err := options.Client().ApplyURI("mongodb://localhost/?" + strings.Join(query, "&")).Validate()
	if err == nil {
		return nil
	}
	var file *fs.PathError
	if errors.As(err, &file) {
		err = file.Err // without the path, which is the option's value
	}
	return fmt.Errorf("option %s: %s", shown(named), hideQuoted(err))
}

// checkTLS returns an error that names the options which set what TLS is to be
// like, where it is off.
func checkTLS(all []option, config *tls.Config) error {
	var set []option
	off := config == nil
	for _, o := range all {
		if o.isOneOf(tlsOptions...) {
			set = append(set, o)
		}
		off = off || o.isOneOf("tls", "ssl") && o.value() == "false"
	}
	if !off || len(set) == 0 {
		return nil
	}
	return fmt.Errorf("option %s: TLS is off; set tls=true, or leave that option out", shown(set))
}
