package metrics

import (
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// builder makes gauges.
type builder struct {
	families map[string]*dto.MetricFamily
	labels   []string // of each gauge: name, value, name, value
}

// add adds a gauge with more labels: name, value, name, value.
func (b *builder) add(name, help string, value float64, labels ...string) {
	name = prefix + name
	family := b.families[name]
	if family == nil {
		family = &dto.MetricFamily{Name: proto.String(name), Help: proto.String(help), Type: dto.MetricType_GAUGE.Enum()}
		b.families[name] = family
	}
	m := &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(value)}}
	all := slices.Concat(b.labels, labels)
	for i := 0; i < len(all); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: proto.String(all[i]), Value: proto.String(strings.ToValidUTF8(all[i+1], "\uFFFD"))})
	}
	family.Metric = append(family.Metric, m)
}

// families are the metrics of a run, by name.
func (r Run) families(name string, failures, stops float64) map[string]*dto.MetricFamily {
	families := map[string]*dto.MetricFamily{}
	file := &builder{families, []string{labelName, name}}
	file.add("build_info", "The decayctl that wrote this file.", 1, "version", r.Version)
	if r.Jobs != nil {
		r.Jobs.add(file)
	}
	if r.Facts != nil {
		r.Facts.add(file)
	}
	run := &builder{families, []string{labelName, name, labelRun, r.Command}}
	if r.Kind != "" {
		run.labels = append(run.labels, "store", r.Kind)
	}
	r.add(run)
	run.add(failedRuns, "Runs in a row that did not come to what was asked for, up to the last one.", failures)
	run.add(stoppedRuns, "Runs in a row that were stopped before their end, as by --max-runtime, up to the last one.", stops)
	return families
}

func (r Run) add(b *builder) {
	b.add("last_run_timestamp_seconds", "When the last run ended, in seconds since 1970.", seconds(r.Ended))
	if r.Success {
		b.add(lastSuccess, "When the last run that came to what was asked for ended, in seconds since 1970.", seconds(r.Ended))
	}
	b.add("last_run_exit_code", "Exit code of the last run.", float64(r.Exit))
	b.add("last_run_duration_seconds", "How long the last run took.", r.Duration.Seconds())
	for cause, spent := range r.Waiting {
		b.add("last_run_waiting_seconds", "How long the workers of the last run waited, by cause.", spent.Seconds(), "cause", cause)
	}
	if r.Job != nil {
		r.addCounts(b, *r.Job)
	}
}

// addCounts adds the counts of the whole job, which may include earlier runs.
func (r Run) addCounts(b *builder, j job.Job) {
	c := j.Counts
	scope := j.Scope
	if scope == "" {
		scope = "all"
	}
	b = &builder{b.families, append(slices.Clone(b.labels), "scope", scope)}
	expired, reduced := c.Expired(), c.Reduced
	if r.DryRun {
		expired = c.WouldExpire()
	}
	b.add("last_run_examined_facts", "Facts that the job of the last run has looked at.", float64(c.Examined))
	b.add("last_run_expired_facts", "Facts that the job of the last run has expired; in a dry run, that it would expire.", float64(expired))
	b.add("last_run_reduced_facts", "Facts whose confidence the job of the last run has lowered; in a dry run, that it would lower.", float64(reduced))
	b.add("last_run_changed_meanwhile_facts", "Facts that another process changed while the last run was at work.", float64(c.Kept[rule.ChangedMeanwhile]))
	b.add("last_run_failed_facts", "Facts that the database refused or kept locked.", float64(c.FailedCount))
	b.add("last_run_restored_facts", "Facts that an undo has given back.", float64(c.Restored))
	b.add("last_run_batches", "Transactions that wrote facts.", float64(c.Batches))
	b.add("last_run_longest_lock_seconds", "The longest of these transactions.", c.LongestLock.Seconds())
	for reason, n := range c.Kept {
		if reason != rule.ChangedMeanwhile {
			b.add("last_run_kept_facts", "Facts that a protection kept from a rule, by protection.", float64(n), "reason", string(reason))
		}
	}
	names := j.Rules.Names()
	rest := int64(0)
	for i, name := range names {
		if i < maxRules {
			b.add("last_run_selected_facts", "Facts that each rule selected. A fact that two rules select counts under both.", float64(c.ByRule[name]), "rule", name)
		} else {
			rest += c.ByRule[name]
		}
	}
	if len(names) > maxRules {
		b.add("last_run_selected_facts", "", float64(rest), "rule", otherRule)
	}
	if !r.Tenants {
		return
	}
	for tenant, n := range c.Tenants {
		b.add("last_run_selected_tenant_facts", "Facts that the rules selected, by tenant.", float64(n), "tenant", tenant)
	}
}

func (j *Jobs) add(b *builder) {
	for _, state := range slices.Sorted(maps.Keys(j.ByState)) {
		b.add("jobs", "Jobs in the store, by state.", float64(j.ByState[state]), "state", string(state))
	}
	b.add("dead_jobs", "Jobs that are running or being undone, and that no process works on.", float64(j.Dead))
	b.add("oldest_unfinished_job_age_seconds", "Age of the oldest job that is neither done, cancelled nor undone; 0 if there is none.", j.Oldest.Seconds())
}

func (f *Facts) add(b *builder) {
	for scope, n := range f.Live {
		b.add("live_facts", "Facts that had not expired by the last dry run that counted them, by scope.", float64(n), "scope", scope)
	}
	b.add("expired_facts", "Facts that had expired by the last dry run that counted them, in every scope.", float64(f.Expired))
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
