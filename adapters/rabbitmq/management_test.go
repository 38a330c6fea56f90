package rabbitmq_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
)

// vhost is a virtual host with a user, for one test.
type vhost struct {
	t    testing.TB
	name string
	user string
	api  string // with guest's login
	url  string // with the user's
}

// managementURL returns the management URL of TEST_BROKER_URL's broker. By custom its
// port is the broker's plus 10000.
func managementURL(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(brokerURL(t))
	if err != nil {
		t.Fatal("TEST_BROKER_URL is not a URL")
	}
	host, port, err := net.SplitHostPort(brokerAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	api := url.URL{Scheme: "http", User: u.User, Host: net.JoinHostPort(host, "1"+port)}
	conn, err := net.DialTimeout("tcp", api.Host, patience)
	if err != nil {
		t.Skipf("the broker of TEST_BROKER_URL has no management API on port 1%s", port)
	}
	conn.Close()
	return api.String()
}

// newVhost returns a virtual host on which its user has all permissions.
func newVhost(t testing.TB) *vhost {
	t.Helper()
	v := &vhost{t: t, name: "test." + rand.Text()[:12], api: managementURL(t)}
	v.user = v.name + ".user"
	v.url = (&url.URL{
		Scheme: "amqp", User: url.UserPassword(v.user, "pässword"), Host: brokerAddress(t), Path: "/" + v.name,
	}).String()
	t.Cleanup(func() {
		v.delete("vhosts/" + v.name)
		v.delete("users/" + v.user)
	})
	v.put("users/"+v.user, map[string]any{"password": "pässword", "tags": ""})
	v.add()
	v.permit(".*", ".*", ".*")
	return v
}

func (v *vhost) add() { v.put("vhosts/"+v.name, map[string]any{}) }

func (v *vhost) permit(configure, write, read string) {
	v.t.Helper()
	v.put("permissions/"+v.name+"/"+v.user, map[string]any{"configure": configure, "write": write, "read": read})
}

func (v *vhost) put(path string, body any) { v.call(http.MethodPut, path, body) }
func (v *vhost) delete(path string)        { v.call(http.MethodDelete, path, nil) }

// call calls the management API, which may answer 404.
func (v *vhost) call(method, path string, body any) []byte {
	v.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(bounded(v.t, patience), method, v.api+"/api/"+path, bytes.NewReader(text))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 && res.StatusCode != http.StatusNotFound {
		v.t.Fatalf("%s %s: %s %s %v", method, path, res.Status, answer, err)
	}
	return answer
}
