package job

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"decayctl/internal/rule"
)

// Counts is what a job has counted: numbers of facts, unless a field says otherwise. The transaction that writes a batch adds
// the counts of the batch to those of the job.
type Counts struct {
	Examined int64                     `json:"examined"`            // in any scope, tenant and state
	Selected int64                     `json:"scanned"`             // the rules select them and no protection keeps them; includes those that changed meanwhile
	Decayed  int64                     `json:"decayed"`             // expired, retracted or reduced; 0 in a dry run
	ByRule   map[string]int64          `json:"by_rule,omitempty"`   // written, or in a dry run selected, under each rule that selects them
	Kept     map[rule.Protection]int64 `json:"skipped,omitempty"`   // a rule would select them, but a protection keeps them
	Tenants  map[string]int64          `json:"by_tenant,omitempty"` // selected; a bounded number of names

	Reduced     int64            `json:"reduced,omitempty"`      // their confidence faded, even if they expired by that
	ReducedOnly int64            `json:"reduced_only,omitempty"` // their confidence faded, and they live on
	Would       map[string]Would `json:"would,omitempty"`        // by the id of a policy in mode dry_run

	Failed      []Failure `json:"failed,omitempty"` // the first 100
	FailedCount int64     `json:"failed_count,omitempty"`

	Batches     int64         `json:"batches,omitempty"`         // number of transactions that wrote facts
	LongestLock time.Duration `json:"longest_lock_ns,omitempty"` // the longest of them
	Retries     int64         `json:"retries,omitempty"`         // number of repeated transactions: another session held a lock, or there was a deadlock or a serialization failure

	Restored  int64 `json:"restored,omitempty"`   // an undo gave them back
	LeftAlone int64 `json:"left_alone,omitempty"` // an undo found them changed by another process
}

// Would is how many facts a policy in mode dry_run would have retracted or reduced.
type Would struct {
	Retract int64 `json:"retract,omitempty"`
	Reduce  int64 `json:"reduce,omitempty"`
}

// Failure is a fact that could not be written, and why.
type Failure struct {
	FactID string `json:"fact_id"`
	Error  string `json:"error"`
}

const (
	maxFailures = 100  // kept by name; FailedCount has no bound
	maxTenants  = 1000 // names are hostile text, and there may be a million of them
	maxName     = 200  // bytes of a name in a key
	maxError    = 1000 // bytes of what the database says of a failure
)

// Clip is the key that a name counts under: valid UTF-8 of 200 bytes at most, and an ellipsis. JSON holds only valid text: two
// invalid names could become one key when counts are stored, and one count would be lost.
func Clip(name string) string { return ClipAt(name, maxName) }

// ClipAt bounds the length of a text, in bytes, at a whole character, and makes it valid.
func ClipAt(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.ToValidUTF8(text[:end], "\uFFFD") + "…"
}

// OtherTenants is the key of all facts of tenants beyond the first 1,000.
const OtherTenants = "(other tenants)"

// Add adds other counts. It does not matter in which order.
func (c *Counts) Add(more Counts) {
	c.Examined += more.Examined
	c.Selected += more.Selected
	c.Decayed += more.Decayed
	addAll(&c.ByRule, more.ByRule)
	addAll(&c.Kept, more.Kept)
	for name, n := range more.Tenants {
		c.AddTenant(name, n)
	}
	c.Reduced += more.Reduced
	c.ReducedOnly += more.ReducedOnly
	for id, w := range more.Would {
		c.addWould(id, w)
	}
	c.Failed = append(c.Failed, more.Failed[:min(len(more.Failed), maxFailures-len(c.Failed))]...)
	c.FailedCount += more.FailedCount
	c.Batches += more.Batches
	c.LongestLock = max(c.LongestLock, more.LongestLock)
	c.Retries += more.Retries
	c.Restored += more.Restored
	c.LeftAlone += more.LeftAlone
}

// Outcome is what became of a fact that was judged.
type Outcome int

const (
	// Planned: nothing was written. The verdict asks for nothing, or this is a dry run.
	Planned Outcome = iota
	// Written: what the verdict asks for was written.
	Written
	// Changed: the fact was not what it had been when it was read, and was left alone.
	Changed
	// Refused: the fact could not be written. AddFailure has the reason.
	Refused
)

// AddFact counts one fact of a tenant: it alone says what a verdict counts as. A dry run and a sweep count by it, so
// that they agree.
func (c *Counts) AddFact(tenant string, v rule.Verdict, o Outcome) {
	c.Examined++
	c.addShadow(v.Shadow)
	changed := v.Kept == rule.ChangedMeanwhile
	if v.Kept != "" {
		add(&c.Kept, v.Kept, 1)
	}
	if v.Acts() && o == Changed {
		changed = true
		add(&c.Kept, rule.ChangedMeanwhile, 1)
	}
	if !v.Acts() && !changed {
		return
	}
	c.Selected++
	c.AddTenant(tenant, 1)
	if changed || o == Refused {
		return
	}
	for _, name := range v.Rules {
		add(&c.ByRule, name, 1)
	}
	if v.Reduces() {
		c.Reduced++
		if !v.Expires() {
			c.ReducedOnly++
		}
	}
	if o == Written {
		c.Decayed++
	}
}

// AddTenant counts selected facts of one tenant.
func (c *Counts) AddTenant(name string, n int64) {
	name = Clip(name)
	if _, known := c.Tenants[name]; !known && len(c.Tenants) >= maxTenants {
		name = OtherTenants
	}
	add(&c.Tenants, name, n)
}

// addShadow counts what a policy in mode dry_run would do with one fact.
func (c *Counts) addShadow(a rule.Shadow) {
	var w Would
	if a.Retract {
		w.Retract = 1
	}
	if a.Reduce {
		w.Reduce = 1
	}
	if w != (Would{}) {
		c.addWould(a.Policy, w)
	}
}

func (c *Counts) addWould(id string, more Would) {
	if c.Would == nil {
		c.Would = map[string]Would{}
	}
	w := c.Would[id]
	c.Would[id] = Would{w.Retract + more.Retract, w.Reduce + more.Reduce}
}

// Expired is how many facts have ended: Decayed without those that only faded.
func (c Counts) Expired() int64 { return c.Decayed - c.ReducedOnly }

// WouldExpire is how many facts would expire if the selected ones were written: all that are due, without those that only fade.
// A dry run shows it where a sweep shows Expired.
func (c Counts) WouldExpire() int64 { return c.Due() - c.ReducedOnly }

// Due is how many facts are, or were, to be changed: Selected without those that changed meanwhile.
func (c Counts) Due() int64 { return c.Selected - c.Kept[rule.ChangedMeanwhile] }

// WouldAll is the sum over all policies in mode dry_run.
func (c Counts) WouldAll() (w Would) {
	for _, each := range c.Would {
		w.Retract += each.Retract
		w.Reduce += each.Reduce
	}
	return w
}

// AddFailure names one fact that cannot be written, and why. Both are shortened: they stand in the job's row, and may be
// long.
func (c *Counts) AddFailure(factID, text string) {
	c.FailedCount++
	if len(c.Failed) < maxFailures {
		c.Failed = append(c.Failed, Failure{FactID: strings.Clone(Clip(factID)), Error: ClipAt(text, maxError)})
	}
}

func addAll[K ~string](to *map[K]int64, more map[K]int64) {
	for name, n := range more {
		add(to, name, n)
	}
}

func add[K ~string](to *map[K]int64, name K, n int64) {
	if *to == nil {
		*to = map[K]int64{}
	}
	if _, known := (*to)[name]; !known {
		name = K(strings.Clone(string(name))) // it may be a part of a long text, which would stay in memory
	}
	(*to)[name] += n
}

// ParseCounts reads counts as String writes them.
func ParseCounts(text string) (c Counts, err error) {
	err = json.Unmarshal([]byte(text), &c)
	return c, err
}

// String writes the counts for the job's row.
func (c Counts) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		return `{}` // not reached: numbers and text always marshal
	}
	return string(text)
}

// FailedFacts is the stop reason of a job that has failed because facts could not be written.
func FailedFacts(n int64) string {
	if n == 1 {
		return "1 fact could not be written"
	}
	return strconv.FormatInt(n, 10) + " facts could not be written"
}
