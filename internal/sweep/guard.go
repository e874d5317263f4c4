package sweep

import (
	"cmp"
	"errors"
	"fmt"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// Refused is the error of a sweep that a limit or a plan stopped before the first write.
type Refused struct {
	Text string
	Err  error // what refused it, such as a *plan.Stale; nil if the text says all
}

func (r *Refused) Error() string { return r.Text }

func (r *Refused) Unwrap() error { return r.Err }

func checkLimit(l rule.Limit, selected, live int64) error {
	if !l.Exceeded(selected, live) {
		return nil
	}
	share := "facts"
	if l.Percent > 0 {
		share = fmt.Sprintf("of %d live facts (%.1f%%)", live, float64(selected)*100/float64(live))
	}
	return &Refused{Text: fmt.Sprintf("refused by --max-expire %s: the rules select %d %s; look at a dry run, then raise the limit if that is right", l, selected, share)}
}

// ExpiresNearlyAll says why a sweep of a scope and a tenant would expire nearly every fact, or "" if it would not; "" is
// all scopes, or all tenants. decayctl asks the operator before it begins such a sweep.
func ExpiresNearlyAll(rules rule.Set, scope, tenant string) string {
	inAll := func(tenant string) string {
		if tenant == "" {
			return ", in every scope of all tenants"
		}
		return fmt.Sprintf(", in every scope of tenant %q", tenant)
	}
	switch {
	case scope != "":
		return ""
	case rules.TTL != nil && *rules.TTL == 0:
		return "ttl 0 expires every fact that has no expiry of its own" + inAll(tenant)
	case rules.Floor != nil && *rules.Floor >= 1:
		return "min-confidence 1 expires every fact that is not fully certain" + inAll(tenant)
	}
	for i := range rules.Policies {
		p := &rules.Policies[i]
		if rules.Only != "" && rules.Only != p.ID || p.Mode == rule.ModeDryRun || p.KeepLast > 0 || !p.Unlimited() {
			continue
		}
		// 1s is the shortest ttl of a policy.
		if p.TTL != nil && *p.TTL <= 1 {
			return "policy " + p.ID + " expires every fact that has no expiry of its own" + inAll(cmp.Or(tenant, p.Tenant))
		}
		if p.HalfLife == 1 && rules.Floor != nil && p.MinConfidence < float64(*rules.Floor) {
			return "policy " + p.ID + " has every fact fade below the floor and expire" + inAll(cmp.Or(tenant, p.Tenant))
		}
	}
	return ""
}

// Stopped is the error of work that a limit ended between two batches. The job is paused.
type Stopped struct{ Why string }

func (s *Stopped) Error() string { return s.Why }

// IsLost tells whether an error says that the job does not belong to this process any more.
func IsLost(err error) bool {
	var lost *job.Lost
	return errors.As(err, &lost)
}
