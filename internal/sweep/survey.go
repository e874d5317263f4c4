package sweep

import (
	"context"

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
	Faint   int64            // those of them whose base confidence is not above where its fading stops
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
	var s *Survey
	p, err := e.clocked(ctx, p)
	if err != nil {
		return nil, err
	}
	j := p.Rules.Judge(p.AsOf, p.now)
	p.Live = true
	p.each = func(f judgedFact) {
		if !j.Live(f.Candidate) {
			return
		}
		s.Live[f.Scope]++
		act, aside := j.Policy(f.Candidate)
		for _, policy := range []*rule.Policy{act, aside} {
			if policy == nil {
				continue
			}
			found := s.Policies[policy.ID]
			found.Matched++
			if policy.HalfLife > 0 && f.Candidate.Confidence <= policy.MinConfidence {
				found.Faint++
			}
			switch {
			case policy == act && f.Expires() && f.Policy == policy.ID, policy == aside && f.Aside.Retract:
				found.Expires[f.Scope]++
			case policy == act && f.Action == rule.Reduce, policy == aside && f.Aside.Reduce:
				found.Reduces++
			case policy == act && f.Action == rule.Keep && f.Kept != rule.ChangedMeanwhile:
				found.Kept++
			}
		}
	}
	p.begin = func() {
		s = &Survey{Live: map[string]int64{}, Policies: map[string]*Surveyed{}}
		for _, policy := range p.Rules.Policies {
			s.Policies[policy.ID] = &Surveyed{Expires: map[string]int64{}}
		}
	}
	_, err = e.judge(ctx, p, Counting)
	return s, err
}
