package app

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/cmd/internal/yamlfile"
	"example.com/orderflow/services/notification"
)

// channelsFile is the file of --channels. The channel log may be left out:
//
//	channels:
//	  - name: email # and of its queue: order_created.email
//	    kind: smtp # log, smtp or webhook
//	    url: smtp://shop@mail.example.com:587/?from=shop@example.com&connections=16
//	    password_file: /run/secrets/smtp
//	    events: [order.created]
//	    to: users
//	    endpoints: [{name: warehouse, address: warehouse@example.com}]
//	    templates: ./mail
//	    retry: {base: 30s, factor: 4, cap: 4h, jitter: 0.1, horizon: 3d}
//	    rate: 20
//	    prefetch: 16                  # of a mail channel: at most its connections, 10 unless the URL says more
//	alerts: {channel: email, to: ops@example.com, window: 15m}
type channelsFile struct {
	*yamlfile.File
	folder string // of relative paths
	specs  []*channelSpec
	alerts *alertSpec // nil: none
}

// readChannelsFile reads the file. Its faults are in the File; an error is returned
// when the file can't be read at all.
func readChannelsFile(path string) (*channelsFile, error) {
	file, root, err := yamlfile.Read(path)
	if err != nil {
		return nil, err
	}
	f := &channelsFile{File: file, folder: filepath.Dir(path)}
	at := root.Mapping("channels", "alerts")
	at["channels"].Each(f.channel)
	f.readAlerts(at["alerts"])
	return f, nil
}

// settingsOf lists the settings of each kind of channel.
var settingsOf = map[string][]string{
	kindLog:     {"events", "retry", "rate", "prefetch"},
	kindSMTP:    {"events", "retry", "rate", "prefetch", "to", "endpoints", "templates", "url", "password_file", "password_env"},
	kindWebhook: {"events", "retry", "rate", "prefetch", "to", "endpoints", "secret_file", "secret_env", "allow_private"},
}

func (f *channelsFile) channel(n yamlfile.Node) {
	at := n.Mapping("name", "kind", "url", "password_file", "password_env", "secret_file", "secret_env", "allow_private",
		"events", "to", "endpoints", "templates", "retry", "rate", "prefetch")
	if len(at) == 0 { // reported already
		return
	}
	s := &channelSpec{
		name: at["name"].Text(), kind: at["kind"].Text(), url: at["url"].Text(), allowPrivate: at["allow_private"].Bool(),
		templates: f.path(at["templates"]), rate: at["rate"].Number(0.001, maxRate), prefetch: at["prefetch"].Int(1, maxPrefetch),
	}
	s.fault = func(setting string, err error) {
		for _, name := range []string{setting, setting + "_file", setting + "_env"} {
			if at[name].IsSet() {
				at[name].Fault("can't be used: %v", err)
				return
			}
		}
		n.Fault("can't be used: %v", err)
	}
	f.specs = append(f.specs, s)
	if !f.checkKind(n, at, s) {
		return
	}
	s.schedule = defaultSchedule(s.kind)
	readRetry(at["retry"], &s.schedule)
	at["events"].Each(func(n yamlfile.Node) {
		if t, err := checkType(n.Text()); err != nil {
			n.Fault("%v", err)
		} else {
			s.types = append(s.types, t)
		}
	})
	s.password = f.secret(at["password_file"], at["password_env"], readPassword, "unknown")
	s.secrets = f.secret(at["secret_file"], at["secret_env"], readSecret, unknownSecret)
	if to := at["to"]; to.IsSet() {
		if s.toUsers = to.Text() == "users"; !s.toUsers {
			to.Fault("must be users; operators' own addresses are endpoints")
		}
	}
	at["endpoints"].Each(func(n yamlfile.Node) { f.endpoint(s, n) })

	missing := func(name, reason string) {
		if !at[name].IsSet() {
			n.Fault("has no %s; %s", name, reason)
		}
	}
	switch s.kind {
	case kindSMTP:
		missing("url", "give one such as smtp://user@host:587/?from=shop@example.com")
	case kindWebhook:
		if !at["secret_env"].IsSet() {
			missing("secret_file", "name the file with the secrets that sign webhooks, or a variable as secret_env")
		}
	}
	if s.kind != kindLog && !at["endpoints"].IsSet() {
		missing("to", "nobody would get anything: give to: users, or endpoints")
	}
}

// checkKind reports whether the settings are those of a known kind and name.
func (f *channelsFile) checkKind(n yamlfile.Node, at map[string]yamlfile.Node, s *channelSpec) bool {
	for _, name := range []string{"name", "kind"} {
		if !at[name].IsSet() {
			n.Fault("has no %s; give one", name)
		}
	}
	known := settingsOf[s.kind]
	if s.kind != "" && known == nil {
		at["kind"].Fault("must be one of %s", strings.Join(kinds, ", "))
		s.kind = ""
	}
	if s.name != "" {
		if err := checkName(s.name, s.kind); err != nil {
			at["name"].Fault("%v", err)
			s.name = ""
		}
	}
	isSame := func(other *channelSpec) bool { return other != s && s.name != "" && other.name == s.name }
	if i := slices.IndexFunc(f.specs, isSame); i >= 0 {
		at["name"].Fault("is that of channels[%d], too; give each channel a name of its own", i)
	}
	if known == nil {
		return false
	}
	for name, setting := range at {
		if name != "name" && name != "kind" && !slices.Contains(known, name) {
			setting.Fault("is not a setting of kind %s; remove it, or give one of %s", s.kind, strings.Join(known, ", "))
		}
	}
	return true
}

func (f *channelsFile) endpoint(s *channelSpec, n yamlfile.Node) {
	at := n.Mapping("name", "address")
	e := notification.Endpoint{Name: at["name"].Text(), Address: at["address"].Text()}
	for _, name := range []string{"name", "address"} {
		if !at[name].IsSet() {
			n.Fault("has no %s; give one", name)
		}
	}
	switch {
	case e.Name == "": // reported already
	case !channelName.MatchString(e.Name):
		at["name"].Fault("%s", nameRule)
	case e.Name == domain.UserRecipient:
		at["name"].Fault("must not be %s, which stands for the order's user", domain.UserRecipient)
	case slices.ContainsFunc(s.endpoints, func(other notification.Endpoint) bool { return other.Name == e.Name }):
		at["name"].Fault("is that of an earlier endpoint; give each a name of its own")
	}
	s.endpoints = append(s.endpoints, e)
	s.addressFaults = append(s.addressFaults, func(err error) {
		if e.Address != "" { // otherwise reported already
			at["address"].Fault("%v", err)
		}
	})
}

// readRetry replaces the parts of the schedule that the file has.
func readRetry(n yamlfile.Node, schedule *notification.Schedule) {
	if !n.IsSet() {
		return
	}
	const longest = 365 * 24 * time.Hour
	at := n.Mapping("base", "factor", "cap", "jitter", "horizon")
	duration := func(name string, to *time.Duration) {
		if at[name].IsSet() {
			*to = at[name].Duration(0, longest)
		}
	}
	number := func(name string, to *float64) {
		if at[name].IsSet() {
			*to = at[name].Number(0, 1000)
		}
	}
	duration("base", &schedule.Base)
	number("factor", &schedule.Factor)
	duration("cap", &schedule.Cap)
	number("jitter", &schedule.Jitter)
	duration("horizon", &schedule.Horizon)
	if err := schedule.Check(); err != nil {
		n.Fault("can't be used: %v", err)
	}
}

// secret returns the secret in the file or in the variable. If it can't be read, the
// file has a fault, and secret returns unknown.
func (f *channelsFile) secret(
	file, variable yamlfile.Node, read func(path string) (string, error), unknown string,
) (secret string) {
	var err error
	switch {
	case file.IsSet() && variable.IsSet():
		variable.Fault("gives the secret a second time; remove one of them")
		return unknown
	case file.IsSet():
		if secret, err = read(f.path(file)); err != nil {
			file.Fault("can't be used: %v", atPath(f.path(file), file.Text(), err))
			return unknown
		}
	case variable.IsSet():
		if secret, err = lookupSecret(variable.Text()); err != nil {
			variable.Fault("can't be used: %v", err)
			return unknown
		}
	}
	return secret
}

// path returns the path; a relative one begins at the file's folder.
func (f *channelsFile) path(n yamlfile.Node) string {
	path := n.Text()
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.folder, path)
}

func (f *channelsFile) readAlerts(n yamlfile.Node) {
	if !n.IsSet() {
		return
	}
	at := n.Mapping("channel", "to", "window")
	f.alerts = &alertSpec{
		channel: at["channel"].Text(), to: at["to"].Text(), window: at["window"].Duration(time.Second, 7*24*time.Hour),
		fault: func(setting string, err error) {
			if node := at[setting]; node.IsSet() {
				node.Fault("can't be used: %v", err)
			} else {
				n.Fault("can't be used: %v", err)
			}
		},
	}
	for _, name := range []string{"channel", "to"} {
		if !at[name].IsSet() {
			n.Fault("has no %s; give one", name)
		}
	}
}

// checkType returns the text as a type of events.
func checkType(text string) (domain.EventType, error) {
	if t := domain.EventType(text); t == domain.OrderCreated || text == "" {
		return t, nil
	}
	return "", fmt.Errorf("%q is not a type of events; the only one is %s", text, domain.OrderCreated)
}
