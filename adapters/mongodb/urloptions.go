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

// option is one option of a URL.
type option struct {
	text  string // as it is written
	name  string // in lower case
	value string
}

func (o option) isOneOf(names ...string) bool { return slices.Contains(names, o.name) }

// shown returns the option's name as it is written. It returns … if the text is not
// a name or may be the rest of a password.
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

// optionsOf returns the options of a URL as the driver reads them. It returns none
// if the query may be a part of the password.
func optionsOf(address, query string) []option {
	if !strings.Contains(address, "/") {
		return nil
	}
	var all []option
	for text := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(text, "=")
		all = append(all, option{text, strings.ToLower(unescape(name)), unescape(value)})
	}
	return all
}

// unescape returns the text itself if its escapes are wrong.
func unescape(text string) string {
	if read, err := neturl.QueryUnescape(text); err == nil {
		return read
	}
	return text
}

var (
	caOptions          = []string{"tlscafile", "sslcertificateauthorityfile"}
	certificateOptions = []string{"tlscertificatekeyfile", "sslclientcertificatekeyfile", "tlscertificatefile", "tlsprivatekeyfile"}
	passwordOptions    = []string{"tlscertificatekeyfilepassword", "sslclientcertificatekeypassword"}
	otherTLSOptions    = []string{"tlsinsecure", "sslinsecure", "tlsdisableocspendpointcheck", "tlsdisablecertificaterevocationcheck"}
	tlsOptions         = slices.Concat(caOptions, certificateOptions, passwordOptions, otherTLSOptions)

	compressors = []string{"snappy", "zlib", "zstd"}
)

// checkOptions returns an error that names the first option that can't be read or
// that the driver would ignore.
func checkOptions(all []option) error {
	for _, o := range all {
		if err := checkOption(o); err != nil {
			return fmt.Errorf("option %s: %w", o.shown(), err)
		}
	}
	return checkFiles(all)
}

func checkOption(o option) error {
	if o.isOneOf("srvmaxhosts", "srvservicename") { // the driver accepts these in a mongodb+srv URL only
		return nil
	}
	read, err := connstring.Parse("mongodb://localhost/?" + o.text)
	switch {
	case err != nil:
		return errors.New(hideQuoted(err))
	case len(read.UnknownOptions) > 0:
		return errors.New("unknown option; correct its name, or remove it")
	case o.isOneOf("sockettimeoutms"):
		return errors.New("it has no effect; set timeoutMS")
	case o.isOneOf("readpreferencetags", "maxstaleness", "maxstalenessseconds"):
		return errors.New("it has no effect, because all reads go to the primary; remove it")
	}
	if o.isOneOf("readpreference") {
		if _, err := readpref.ModeFromString(o.value); err != nil {
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

// fixed are the options that the adapter's guarantees depend on, with their values.
var fixed = map[string]string{
	"w":                "majority",
	"journal":          "true",
	"readconcernlevel": "local",
	"readpreference":   "primary",
}

// synonyms are other names of options.
var synonyms = map[string]string{
	"ssl":                             "tls",
	"sslclientcertificatekeyfile":     "tlscertificatekeyfile",
	"sslclientcertificatekeypassword": "tlscertificatekeyfilepassword",
	"sslcertificateauthorityfile":     "tlscafile",
	"sslinsecure":                     "tlsinsecure",
	"heartbeatintervalms":             "heartbeatfrequencyms",
}

// checkEffect returns an error that names the first option that would not have the
// effect of its value.
func checkEffect(all []option) error {
	given := make(map[string]bool)
	for _, o := range all {
		name := cmp.Or(synonyms[o.name], o.name)
		value, isFixed := fixed[o.name]
		switch {
		case isFixed && o.value != value:
			return fmt.Errorf("option %s: the adapter sets it to %s; remove it", o.shown(), value)
		case given[name]:
			return fmt.Errorf("option %s: it is given twice; remove one", o.shown())
		case name == "replicaset" && o.value == "":
			return fmt.Errorf("option %s: it has no value; name the replica set or remove the option", o.shown())
		}
		given[name] = true
	}
	return nil
}

// checkFiles reads the files that the options name. It reads the files of the
// client's certificate together.
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
		return fmt.Errorf("option %s: it needs a file; set tlsCertificateKeyFile", shown(certificate))
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
		err = file.Err // without the path, an option's value
	}
	return fmt.Errorf("option %s: %s", shown(named), hideQuoted(err))
}

// checkTLS returns an error that names the TLS options if TLS is off.
func checkTLS(all []option, config *tls.Config) error {
	var set []option
	off := config == nil
	for _, o := range all {
		if o.isOneOf(tlsOptions...) {
			set = append(set, o)
		}
		off = off || o.isOneOf("tls", "ssl") && o.value == "false"
	}
	if !off || len(set) == 0 {
		return nil
	}
	return fmt.Errorf("option %s: TLS is off; set tls=true or remove the option", shown(set))
}
