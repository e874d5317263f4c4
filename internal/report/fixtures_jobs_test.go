package report

import (
	"fmt"
	"maps"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

const target = "postgres://stigmem:xxxxx@db.example.com:5432/stigmem"

// swept is a job that is done, at the end of its sweep.
func swept() Run {
	return Run{Target: target, Job: job.Job{
		ID: "5f3a9c1e-2b4d-4e6f-8a90-b1c2d3e4f506", State: job.Done, Rules: rules("90d", "0.4"), AsOf: asOf, Stamp: asOf.Truncate(time.Second),
		Total: 19500, End: true, Created: asOf, Started: asOf, Completed: asOf.Add(7410 * time.Millisecond), Updated: asOf.Add(7410 * time.Millisecond),
		Counts: job.Counts{
			Examined: 20000, Selected: 11233, Decayed: 11202,
			ByRule: map[string]int64{rule.NameTTL: 9000, rule.NameFloor: 3068},
			Kept: map[rule.Protection]int64{
				rule.System: 600, rule.Rel: 12, rule.LegalHold: 400, rule.QuarantinePending: 3, rule.UnreadableTimestamp: 20,
				rule.UnreadableValidUntil: 1, rule.ChangedMeanwhile: 31,
			},
			Tenants: map[string]int64{"default": 10889, "acme": 344},
			Batches: 12, LongestLock: 85*time.Millisecond + 400*time.Microsecond, Retries: 2,
		},
	}}
}

// failing is a job that came to its end with facts that could not be written.
func failing(facts int) Run {
	r := swept()
	c := &r.Job.Counts
	c.AddFailure("0193a7f2-77aa-7d40-8c15-5e1f0a9b2c3d", "the database refuses it: index row size exceeds maximum")
	for i := range facts - 1 {
		c.AddFailure(fmt.Sprintf("fact-%02d", i), "value too long\nfor index")
	}
	c.Selected += c.FailedCount
	c.Tenants["default"] += c.FailedCount
	r.Job.State, r.Job.StopReason = job.Failed, job.FailedFacts(c.FailedCount)
	return r
}

// compared is a run with the last sweeps by its rules: nightly ones, the last of them some nights ago.
func compared(r Run, median int64, nights int) Run {
	const night = 24 * time.Hour
	gap := time.Duration(nights) * night
	r.History = job.History{Jobs: job.PastJobs, Median: median, Last: r.Job.Started.Add(-gap), Interval: night - 3*time.Second, Gap: gap}
	return r
}

// beginning is a run with too few sweeps before it to tell what is usual.
func beginning() Run {
	r := nothingToDo()
	r.History = job.History{Jobs: 2, Last: asOf.AddDate(0, -3, 0), Gap: 92 * 24 * time.Hour}
	return r
}

const digest = "39ffb3eb41c3bff7fddd9cd1779d470d59c0bce37d6686b0da778fb88f10aaf4"

// applied is a job that applied a plan.
func applied() Run {
	r := swept()
	r.Job.Plan = digest
	return r
}

// saved is a dry run that was saved as a plan.
func saved() Run {
	r := dryRun()
	r.Job.Plan, r.Saved = digest, "plans/2026-11-23.json"
	r.Cost = &store.WriteCost{Facts: 7_000_000, Log: 87e9, Disk: 3.43e9, Time: 441 * time.Second, LogWithoutKeys: 23.6e9, LogCompressed: 46.7e9, LogLarger: 14e9, LargerSize: 16 << 30}
	r.Notes = append(r.Notes, CostNotes(r.Cost)...)
	return r
}

// manyTenants is a sweep with more tenants than the table shows.
func manyTenants() Run {
	r := swept()
	for i := range 25 {
		r.Job.Counts.AddTenant(fmt.Sprintf("tenant-%02d", i), 10)
	}
	r.Job.Counts.Selected += 250
	return r
}

// halfway is a job of one tenant and one rule that has not come to its end.
func halfway(state job.State, why string) Run {
	r := swept()
	r.Job.State, r.Job.StopReason, r.Job.End, r.Job.Completed = state, why, false, time.Time{}
	r.Job.Rules, r.Job.Scope, r.Job.Tenant, r.Job.Total = rules("12h", "0"), "team", "acme", 50000
	r.Job.Counts = job.Counts{
		Examined: 20000, Selected: 5000, Decayed: 5000, ByRule: map[string]int64{rule.NameTTL: 5000},
		Tenants: map[string]int64{"acme": 5000}, Batches: 1, LongestLock: 1200 * time.Millisecond,
	}
	r.Now = asOf.Add(3*time.Minute + 20*time.Second)
	return r
}

// workers are one that is alive and one that is not.
func workers() []job.Worker {
	return []job.Worker{
		{Number: 1, Owner: job.Owner{Host: "worker-a", PID: 4711}, Joined: asOf, Live: true, Left: 24*time.Second + 310*time.Millisecond},
		{Number: 2, Owner: job.Owner{Host: "worker-b", PID: 815}, Joined: asOf.Add(time.Minute), Left: -40 * time.Second},
	}
}

func running() Run {
	r := halfway(job.Running, "")
	r.Job.Workers = workers()
	return r
}

func leftBehind() Run {
	r := halfway(job.Running, "")
	r.Job.Workers = workers()[1:]
	return r
}

func paused() Run { return halfway(job.Paused, "interrupted") }

func pending() Run {
	r := halfway(job.Pending, "")
	r.Job.Started, r.Job.Counts = time.Time{}, job.Counts{}
	return r
}

func cancelled() Run {
	r := halfway(job.Cancelled, "cancelled by an operator")
	r.Job.Completed = asOf.Add(2 * time.Minute)
	return r
}

func cancelledBefore() Run {
	r := cancelled()
	r.Job.Counts, r.Job.StopReason = job.Counts{}, "refused by --max-expire 5%"
	return r
}

func failed() Run {
	r := halfway(job.Failed, "the disk is full\x1b[2J")
	r.Job.Completed = asOf.Add(2 * time.Minute)
	return r
}

func undoing() Run {
	r := swept()
	r.Job.State, r.Job.Completed, r.Job.BeforeImages, r.Job.Counts.Restored = job.Undoing, time.Time{}, 150, 4000
	r.Job.Workers, r.Now = workers()[:1], asOf.Add(26*time.Hour)
	return r
}

func leftUndoing() Run {
	r := undoing()
	r.Job.Workers = nil
	return r
}

func undone() Run {
	r := undoing()
	r.Job.State, r.Job.Completed, r.Job.Workers = job.Undone, asOf.Add(25*time.Hour), nil
	r.Job.Counts.Restored, r.Job.Counts.LeftAlone = 11190, 12
	r.Notes = []string{"the table fact_embedding_status may not be written"}
	return r
}

func nothingToDo() Run {
	r := swept()
	r.Job.Rules, r.Job.Total = rules("off", "0.4"), 1
	r.Job.Counts = job.Counts{Examined: 1}
	return r
}

// nodes is a job that the node made.
func nodes(state job.State) Run {
	r := Run{Target: target, Now: asOf.Add(48 * time.Hour), Job: job.Job{
		ID: "c0ffee00-1111-4222-8333-444455556666", Node: true, State: state, Scope: "local", Total: 250_000, Created: asOf, Started: asOf,
	}}
	switch state {
	case job.Done:
		r.Job.Counts, r.Job.Completed = job.Counts{Selected: 70, Decayed: 70}, asOf.Add(90*time.Second)
	case job.Failed:
		r.Job.StopReason, r.Job.Completed = "database is locked", asOf.Add(30*time.Second)
	}
	return r
}

// runs are all that a run can be, by the names of their golden files.
func runs() map[string]Run {
	return map[string]Run{
		"policies-sweep": sweptByPolicies(), "policies-dry-run": dryRunByPolicies(),
		"dry-run": dryRun(), "dry-run-saved": saved(), "nothing-to-expire": nothingToExpire(),
		"sweep": swept(), "sweep-planned": applied(), "nothing": nothingToDo(), "pending": pending(), "running": running(), "left-behind": leftBehind(),
		"paused": paused(), "failed": failed(), "failed-facts": failing(1), "cancelled": cancelled(), "cancelled-before": cancelledBefore(),
		"undoing": undoing(), "left-undoing": leftUndoing(), "undone": undone(),
		"usual": compared(swept(), 8120, 1), "unusual": compared(swept(), 812, 46), "few-sweeps": beginning(), "nothing-usual": compared(nothingToDo(), 0, 1),
		"dry-run-usual": compared(dryRun(), 8120, 1), "dry-run-unusual": compared(dryRun(), 0, 46),
		"undone-unusual": compared(undone(), 812, 46), "paused-unusual": compared(paused(), 812, 1),
		"node-running": nodes(job.Running), "node-done": nodes(job.Done), "node-failed": nodes(job.Failed),
	}
}

// list has a job of every kind, each with an id of its own, the newest first.
func list() Jobs {
	var all []job.Job
	for i, r := range []Run{
		pending(), running(), leftBehind(), paused(), failed(), failing(12), swept(), cancelled(), undoing(), leftUndoing(), undone(),
		nodes(job.Running), nodes(job.Done), nodes(job.Failed),
	} {
		j := r.Job
		j.ID = fmt.Sprintf("%08x%s", 0x5f3a9c1e+i*0x01234567, j.ID[8:])
		j.Created = asOf.Add(-time.Duration(i*i*i) * time.Hour)
		all = append(all, j)
	}
	all[1].Workers = append(workers(), workers()...)
	return Jobs{Target: target, Now: asOf.Add(3 * 24 * time.Hour), Each: each(all...)}
}

// each hands over some jobs.
func each(jobs ...job.Job) func(use func(job.Job) error) error {
	return func(use func(job.Job) error) error {
		for _, j := range jobs {
			if err := use(j); err != nil {
				return err
			}
		}
		return nil
	}
}

// notices are the documents of commands that have no job to show.
func notices() map[string]writer {
	done, half := swept().Job, leftUndoing().Job
	all := policyNotices()
	maps.Copy(all, map[string]writer{
		"no-job":        Nothing{Text: "There is no job to resume in " + target + "."},
		"detached":      Pending{Target: target, Job: pending().Job},
		"pruned":        Pruned{Count: 1234, Before: asOf},
		"pruned-one":    Pruned{Count: 1, Before: asOf},
		"cluster":       Health{Target: target, Found: store.Diagnosis{Server: "PostgreSQL 15.20 with Citus 12.1-1", Migration: "058_federation_audit_first_trust_confirm_rejected", Role: "node", Facts: 9, Cluster: &store.Cluster{Workers: 2, Maintained: true, Misplaced: []store.Misplaced{{Table: "tombstones", Problem: "has to be a reference table", Statements: []string{`SELECT create_reference_table('"public"."tombstones"');`}}}}}, Now: asOf},
		"cluster-jobs":  Health{Target: target, Found: store.Diagnosis{Server: "PostgreSQL 15.20 with Citus 12.1-1", Migration: "058_federation_audit_first_trust_confirm_rejected", OwnVersion: 5, Role: "node", Facts: 9, Cluster: &store.Cluster{Workers: 1, Maintained: true, Misplaced: []store.Misplaced{{Table: "jobs", Problem: "has to be on the coordinator alone, and not distributed", Statements: []string{`SELECT undistribute_table('"public"."jobs"');`}}}}}, Now: asOf},
		"cluster-doubt": Health{Target: target, Found: store.Diagnosis{Server: "PostgreSQL 15.20 with Citus 12.1-1", Migration: "058_federation_audit_first_trust_confirm_rejected", OwnVersion: 5, Role: "node", Cluster: &store.Cluster{Workers: 2, Unfinished: 3}}, Now: asOf},
		"healthy":       Health{Target: target, Found: store.Diagnosis{Server: "SQLite 3.54.1", Migration: "058_federation_audit_first_trust_confirm_rejected", HeldPrivileges: []string{"read the file", "write the file"}, Facts: 1, Tenants: []store.TenantFacts{{Tenant: "default", Facts: 1}}}, Now: asOf},
		"ill":           ill(),
		"undoable":      Undoable{Target: target, Job: done, Count: 11190},
		"undoable-half": Undoable{Target: target, Job: half, Count: half.Counts.Decayed - half.Counts.Restored - 1},
		"undoable-more": Undoable{Target: target, Job: done, Count: done.Counts.Decayed + 1},
	})
	return all
}

func changes() []job.Change {
	const reason, by = "decay_sweep", "stigmem:system:decay"
	after := fact.Override{
		ValidUntil: ptr("2026-11-23T17:15:00.123456+00:00"), Reason: ptr(reason), UpdatedAt: "2026-11-23T17:15:00+00:00", UpdatedBy: ptr(by),
	}
	rejected := after
	rejected.Confidence = ptr(0.25)
	return []job.Change{
		{FactID: "0193a7f2-5c1e-7b31-9a52-d0b6a1c3e4f5", After: after},
		{
			FactID: "imported\x1b[2J-7", After: rejected, Retraction: "retract_0193a7f3-0001-7000-8000-b1c2d3e4f506",
			Before: &fact.Override{
				ValidUntil: ptr("2027-01-01T00:00:00Z"), Confidence: ptr(0.25), Reason: ptr("=cmd|' /C calc'!A0, \"checked\"\nby\u202e hand"),
				UpdatedAt: "2026-05-01T00:00:00+00:00", UpdatedBy: ptr("user:bob"),
			},
			Edge: &fact.Edge{ValidUntil: ptr("2027-01-01T00:00:00Z"), DecayEpoch: ptr(int64(1777593600000))},
		},
		{
			FactID: "0193a7f2-77aa-7d40-8c15-5e1f0a9b2c3d", After: after,
			Before: &fact.Override{UpdatedAt: "2026-05-01T00:00:00+00:00"}, Edge: &fact.Edge{},
		},
		{
			FactID: "0193a7f2-8b10-7c55-b0f4-2a6c1d3e5f70", Edge: &fact.Edge{Confidence: ptr(0.9)},
			After: fact.Override{Confidence: ptr(0.4), Reason: ptr("decay_policy:context"), UpdatedAt: "2026-11-23T17:15:00+00:00", UpdatedBy: ptr(by)},
		},
	}
}

// ill is a store with everything that a look over it can find.
func ill() Health {
	ahead := 90 * time.Second
	left, undo := leftBehind().Job, leftUndoing().Job
	return Health{
		Target: target,
		Found: store.Diagnosis{
			Server: "PostgreSQL 15.3\x1b[2J", Migration: "058_federation_audit_first_trust_confirm_rejected", OwnVersion: 1,
			Role: "decay\nsweeper", HeldPrivileges: []string{"SELECT on public.facts"}, MissingPrivileges: []string{"UPDATE on public.jobs", "CREATE on schema public"},
			Triggers:  []string{"touch\x1b on fact_validity_overrides"},
			KeyChecks: &store.KeyChecks{Grant: "GRANT SET ON PARAMETER session_replication_role TO \"decay\nsweeper\";", Obstacles: []string{"the trigger touch\x1b on fact_validity_overrides"}, Orphans: 12},
			MissingIndexes: []store.MissingIndex{{
				Table: "fact_retractions", Columns: []string{"fact_id"}, Effect: "every batch of an undo reads the whole retraction log",
				Statement: "CREATE INDEX CONCURRENTLY ON \"a\x1bb\".\"fact_retractions\" (\"fact_id\");",
			}},
			FirstSweep: &store.WriteCost{Facts: 1_200_000, Log: 2.4e9, Disk: 588e6, Time: 28 * time.Second, LogCompressed: 9e8, Keeps: []string{"the replication slot forgotten (inactive, no max_slot_wal_keep_size)", "the archive"}},
			Clock:      &ahead, Facts: 1234567, OtherTenants: 30,
			Tenants:      []store.TenantFacts{{Tenant: "default", Facts: 1234500}, {Tenant: "acme\x1b[2J", Facts: 36}, {Tenant: "lab", Facts: 1}},
			Stamps:       store.Stamps{OddTimestamps: 1200, UnreadableTimestamps: 3, OddExpiries: 2, UnreadableExpiries: 1},
			BeforeImages: 4321, BeforeImageMB: 1.5,
		},
		Left:    []LeftJob{{Job: left, Command: Command("resume", left)}, {Job: undo, Command: Command("undo", undo)}},
		History: job.History{Jobs: 10, Median: 7, Interval: 24 * time.Hour, Gap: 9 * 24 * time.Hour}, Stopped: 4,
		Notes: []string{"the role may not delete from vec_facts"},
		Now:   asOf.Add(time.Hour),
	}
}
