package sweep

import (
	"context"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// Survey is what policies find in a store.
type Survey struct {
	Live     map[string]int64     // live facts, by scope
	Policies map[string]*Surveyed // by id
}

// Surveyed is what one policy finds.
type Surveyed struct {
	Matched int64            // live facts that it decides on, or counts
	Faint   int64            // matched facts whose base confidence is at or below its min_confidence, so that they never fade
	Expires map[string]int64 // facts that it would expire or retract now, by scope
	Reduces int64            // facts that it would lower the confidence of, and that live on
	Kept    int64            // facts that a protection keeps from a rule; unknown of a policy in mode dry_run
}

// Expired is how many facts it would expire or retract now.
func (s *Surveyed) Expired() (n int64) {
	for _, of := range s.Expires {
		n += of
	}
	return n
}

// Survey judges everything that is live, and counts what each policy finds. It writes nothing.
func (e *Engine) Survey(ctx context.Context, p Params) (*Survey, error) {
	p, err := e.Clocked(ctx, p)
	if err != nil {
		return nil, err
	}
	p.Live = true
	s := surveyor{judge: p.Rules.Judge(p.AsOf, p.Now), policies: p.Rules.Policies}
	_, err = e.preview(ctx, p, Counting, &s)
	return s.found, err
}

// surveyor collects a survey.
type surveyor struct {
	judge    *rule.Judge
	policies []rule.Policy
	found    *Survey
}

// Begin implements Collector.
func (s *surveyor) Begin() {
	s.found = &Survey{Live: map[string]int64{}, Policies: map[string]*Surveyed{}}
	for _, policy := range s.policies {
		s.found.Policies[policy.ID] = &Surveyed{Expires: map[string]int64{}}
	}
}

// Collect implements Collector.
func (s *surveyor) Collect(c *fact.Candidate, v rule.Verdict) {
	if !s.judge.Live(c) {
		return
	}
	s.found.Live[c.Scope]++
	act, shadow := s.judge.Policy(c)
	for _, policy := range []*rule.Policy{act, shadow} {
		if policy == nil {
			continue
		}
		found := s.found.Policies[policy.ID]
		found.Matched++
		if policy.HalfLife > 0 && c.Confidence <= policy.MinConfidence {
			found.Faint++
		}
		switch {
		case policy == act && v.Expires() && v.Policy == policy.ID, policy == shadow && v.Shadow.Retract:
			found.Expires[c.Scope]++
		case policy == act && v.Action == rule.Reduce, policy == shadow && v.Shadow.Reduce:
			found.Reduces++
		case policy == act && v.Action == rule.Keep && v.Kept != rule.ChangedMeanwhile:
			found.Kept++
		}
	}
}
