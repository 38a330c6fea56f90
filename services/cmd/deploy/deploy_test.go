// Package deploy_test checks the files for other programs against the services.
package deploy_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/orderflow/services/internal/telemetry"
)

var (
	metricName = regexp.MustCompile(`\borderflow_[a-z0-9_]+`)
	selector   = regexp.MustCompile(`\b(orderflow_[a-z0-9_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`([a-z_]+)=~?"`)
	grouping   = regexp.MustCompile(`by \(([^)]*)\) \((?:rate\(|increase\()?(orderflow_[a-z0-9_]+)`)
)

// ofTarget are the labels that Prometheus adds to each metric.
var ofTarget = []string{"job", "instance", "le"}

// find returns the metric with this name; of a histogram also its parts.
func find(name string) (telemetry.Metric, bool) {
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		base, ok := strings.CutSuffix(name, suffix)
		i := slices.IndexFunc(telemetry.Metrics, func(m telemetry.Metric) bool { return m.Prom == base })
		if ok && i >= 0 {
			return telemetry.Metrics[i], true
		}
	}
	return telemetry.Metric{}, false
}

// Every metric that a rule or the dashboard names exists, and has the labels by which it is
// selected or grouped.
func TestNamedMetricsExist(t *testing.T) {
	for _, file := range []string{"prometheus/alerts.yaml", "prometheus/alerts_test.yaml", "grafana/orderflow.json"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), `\"`, `"`)
		names := metricName.FindAllString(text, -1)
		if len(names) < 10 {
			t.Errorf("%s names only %v", file, names)
		}
		for _, name := range names {
			if _, ok := find(name); !ok {
				t.Errorf("%s: metric %s does not exist", file, name)
			}
		}
		check := func(name string, labels []string) {
			m, _ := find(name)
			for _, label := range labels {
				if !slices.Contains(m.Labels, label) && !slices.Contains(ofTarget, label) {
					t.Errorf("%s: metric %s has no label %s", file, name, label)
				}
			}
		}
		for _, found := range selector.FindAllStringSubmatch(text, -1) {
			var labels []string
			for _, label := range labelName.FindAllStringSubmatch(found[2], -1) {
				labels = append(labels, label[1])
			}
			check(found[1], labels)
		}
		for _, found := range grouping.FindAllStringSubmatch(text, -1) {
			check(found[2], strings.Split(strings.ReplaceAll(found[1], " ", ""), ","))
		}
	}
}

// Each metric that is not about the process alone is on the dashboard.
func TestDashboardShowsAllMetrics(t *testing.T) {
	raw, err := os.ReadFile("grafana/orderflow.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(raw) {
		t.Fatal("the dashboard is no JSON")
	}
	for _, m := range telemetry.Metrics {
		if !strings.Contains(string(raw), m.Prom) && m.Prom != "orderflow_build_info" {
			t.Errorf("the dashboard does not show %s", m.Prom)
		}
	}
}

// The README says for each alert what to do, and each alert is tested.
func TestAlertsAreExplained(t *testing.T) {
	read := func(file string) string {
		t.Helper()
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	explained, tested := read("../../../README.md"), read("prometheus/alerts_test.yaml")
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read("prometheus/alerts.yaml"), -1)
	if len(alerts) < 10 {
		t.Fatalf("found only %v", alerts)
	}
	for _, alert := range alerts {
		if !strings.Contains(explained, "| `"+alert[1]+"` |") {
			t.Errorf("the README has no row of %s", alert[1])
		}
		if !strings.Contains(tested, "alertname: "+alert[1]+"\n") && !strings.Contains(tested, `alertname="`+alert[1]+`"`) {
			t.Errorf("no test has %s fire", alert[1])
		}
	}
}
