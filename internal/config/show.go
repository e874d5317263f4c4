package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Shown is a setting in force.
type Shown struct {
	Key   string // in the config file
	Value string // without secrets; "" is none
	From  string // the flag, the variable or the line that set it; DefaultOrigin if none did
}

// AddLastingFlags adds the flags of all settings that can stand in a variable or a file.
func AddLastingFlags(fs *pflag.FlagSet) {
	addFlags(fs, slices.DeleteFunc(lastingSettings(), func(s setting) bool { return fs.Lookup(s.flag()) != nil || isGlobal(s.key) }))
}

func isGlobal(key string) bool {
	return slices.ContainsFunc(globalSettings(), func(s setting) bool { return s.key == key })
}

// lastingSettings are the settings that do not belong to one run.
func lastingSettings() []setting {
	return slices.DeleteFunc(allSettings(), func(s setting) bool { return s.reach == flagOnly })
}

// Keys are the keys of the settings that Show shows.
func Keys() (keys []string) {
	for _, s := range lastingSettings() {
		keys = append(keys, s.key)
	}
	return keys
}

// Show reads every setting that does not belong to one run, in the order of the documentation. Errors are those of Load.
func Show(src Source, now time.Time) ([]Shown, error) {
	s, cfg, err := loadFrom(src, now)
	if err != nil {
		return nil, err
	}
	values := map[string]string{
		"store": cfg.Store.Display, "tenant": cfg.Selection.Tenant,
		"ttl": "off", "min_confidence": "off", "policies": "none",
		"on_success": hidden(cfg.Ending.OnSuccess), "on_failure": hidden(cfg.Ending.OnFailure), "ping": hidden(cfg.Ending.Ping),
	}
	// Of the two settings that decide on the tenant, only one is in force.
	weaker, stronger := "all_tenants", "tenant"
	if values["all_tenants"] = "off"; cfg.Selection.Tenant == "" {
		values["all_tenants"] = "on"
		weaker, stronger = stronger, weaker
	}
	if s.origins[weaker].name != "" {
		s.origins[weaker] = s.origins[stronger]
	}
	if s.origins["lease"].layer == 0 { // twice the lock timeout, or more
		values["lease"] = fmt.Sprintf("%gs", cfg.Run.Lease.Seconds())
	}
	if cfg.Selection.Rules.TTL != nil {
		values["ttl"] = cfg.Selection.Rules.TTL.String()
	}
	if cfg.Selection.Rules.Floor != nil {
		values["min_confidence"] = cfg.Selection.Rules.Floor.String()
	}
	if n := len(cfg.Selection.Rules.Policies); n > 0 {
		values["policies"] = fmt.Sprintf("%d, as 'decayctl policy show' has them", n)
	}
	var shown []Shown
	for _, known := range lastingSettings() {
		value, special := values[known.key]
		switch {
		case special:
		case known.toggle:
			value = "off"
			if on, _ := parseToggle(s.viper.GetString(known.key)); on {
				value = "on"
			}
		default:
			value = Mask(s.viper.GetString(known.key))
		}
		from := s.origins[known.key].name
		if known.key == "store" {
			from = cfg.Store.Origin
		}
		if from == "" {
			from = DefaultOrigin
		}
		shown = append(shown, Shown{known.key, value, from})
	}
	return shown, nil
}

// hidden is an address of a service without its path, which may be its secret.
func hidden(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/…"
}

// Template is a config file with every setting that can stand in one, each with its meaning and, as a comment, its default.
func Template() string {
	var b strings.Builder
	b.WriteString(`# Settings of decayctl. A line takes effect once its # is gone. Flags and variables are stronger:
# 'decayctl config show' prints what is in force, 'decayctl config check' tests this file.
`)
	for _, group := range Groups {
		fmt.Fprintf(&b, "\n# --- %s\n", group)
		for _, s := range lastingSettings() {
			if s.reach != everywhere || groupOf(s.key) != group {
				continue
			}
			example := s.initial
			if example == "" {
				example = examples[s.key]
			}
			fmt.Fprintf(&b, "\n# %s\n#%s: %s\n", strings.ReplaceAll(s.usage, "`", ""), s.key, example)
		}
	}
	return b.String()
}

// examples stand in the template for settings without a default.
var examples = map[string]string{
	"store": "stigmem.db", "env_file": ".env", "ttl": "90d", "min_confidence": "0.2", "policies": "policies.yaml", "scope": "local",
	"all_tenants": "true", "max_rate": "500/s", "max_runtime": "2h", "max_expire": "10%", "no_fk_checks": "true", "quiet": "true", "no_color": "true",
	"metrics_file": "/var/lib/prometheus/node-exporter/decayctl.prom", "metrics_tenants": "true",
	"on_success": "https://ntfy.example.com/TOPIC", "on_failure": "https://ntfy.example.com/TOPIC", "ping": "https://hc-ping.com/CHECK",
}
