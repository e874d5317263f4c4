package sweep

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// allow checks the job's limit and its plan, once in its life: before anything is written. It gives the facts that the
// plan lets the job change; nil is all. Errors of its own: *Refused.
func (e *Engine) allow(ctx context.Context, in store.Joined, p Params) (*plan.Reviewed, error) {
	check, err := e.openCheck(ctx, in.Job)
	if err != nil {
		return nil, err
	}
	if limit := in.Job.MaxExpire; limit != nil || check != nil {
		var with []Collector
		sum := plan.NewSum(p.Rules, p.AsOf)
		if check != nil {
			sum.KeepFacts()
			with = append(with, sum)
		}
		p.Live = limit != nil && limit.Percent > 0 // only a share needs to know of how many
		counted, err := e.preview(ctx, p, Counting, with...)
		if err != nil {
			return nil, err
		}
		if check != nil {
			if err := e.checkPlan(ctx, in, *check, sum); err != nil {
				return nil, err
			}
		}
		if limit != nil {
			if err := checkLimit(*limit, counted.WouldExpire(), counted.Live); err != nil {
				return nil, err
			}
			if err := e.retry(ctx, func() error { return repeatable(e.Store.ClearMaxExpire(ctx, in.Lease)) }); err != nil {
				return nil, err
			}
		}
		if check != nil {
			if err := e.retry(ctx, func() error { return repeatable(e.Store.ClearPlanCheck(ctx, in.Lease)) }); err != nil {
				return nil, err
			}
		}
	}
	return e.reviewed(ctx, in.Job)
}

// openCheck is what a job still has to find before it writes; nil is nothing.
func (e *Engine) openCheck(ctx context.Context, j job.Job) (*plan.Check, error) {
	if j.Plan == "" {
		return nil, nil
	}
	var text string
	var open bool
	err := e.retry(ctx, func() (err error) {
		text, open, err = e.Store.PlanCheck(ctx, j.ID)
		return err
	})
	if err != nil || !open {
		return nil, err
	}
	check, err := plan.ParseCheck(text, j.Rules, j.AsOf)
	if err != nil {
		return nil, &store.Error{Kind: store.Unusable, Text: "the plan of job " + j.ID + " in decayctl_plans cannot be read: " + err.Error(), Err: err}
	}
	return &check, nil
}

// checkPlan compares what a pass has found with the plan, and keeps it: from then on the job changes nothing else.
func (e *Engine) checkPlan(ctx context.Context, in store.Joined, check plan.Check, found *plan.Sum) error {
	drift, stale := check.Verify(found)
	if stale != nil {
		// Another worker may have been through first, and have begun to write.
		if still, err := e.openCheck(ctx, in.Job); err != nil || still == nil {
			return err
		}
		return &Refused{Text: stale.Error(), Err: stale}
	}
	if drift.Facts() > 0 {
		e.Note("the plan has drifted as far as --allow-drift allows: " + drift.String())
	}
	for i, part := range found.Reviewed().Parts() {
		if err := e.retry(ctx, func() error { return repeatable(e.Store.AddReviewed(ctx, in.Lease, i, part)) }); err != nil {
			return err
		}
	}
	return nil
}

// reviewed is what the plan of a job lets it change; nil is all.
func (e *Engine) reviewed(ctx context.Context, j job.Job) (*plan.Reviewed, error) {
	if j.Plan == "" {
		return nil, nil
	}
	var reviewed *plan.Reviewed
	found := false
	err := e.retry(ctx, func() error {
		reviewed, found = plan.NewReviewed(j.Rules, j.AsOf), false
		return e.Store.ReadReviewed(ctx, j.ID, func(part string) error {
			found = true
			return reviewed.Add(part)
		})
	})
	if err == nil && !found {
		err = &store.Error{Kind: store.Unusable, Text: "the reviewed facts of job " + j.ID + " are missing in decayctl_plans; cancel the job, and save a new plan"}
	}
	return reviewed, err
}

// spare leaves a fact alone that was not reviewed, or for which something else was.
func (p Params) spare(c *fact.Candidate, v rule.Verdict) rule.Verdict {
	if p.Reviewed == nil || !v.Acts() || p.Reviewed.Has(c, v) {
		return v
	}
	return rule.Verdict{Action: rule.Keep, Rules: v.Rules, Kept: rule.ChangedMeanwhile, Shadow: v.Shadow}
}
