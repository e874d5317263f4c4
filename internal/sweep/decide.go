package sweep

import (
	"context"
	"slices"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// keeping says what a piece keeps of the facts that were judged.
type keeping int

const (
	keepConcerned keeping = iota // as they were read, those that a rule concerns
	keepAll                      // as they were read
	keepDecisions                // for batches, those that a rule concerns
)

// decider judges the facts of pieces, and asks the store for the ranks that verdicts need. It belongs to one goroutine.
type decider struct {
	judge    *rule.Judge
	params   Params
	keep     keeping
	keepLast *keepLast
	buffer   []judged // empty: memory for the decisions of the next part
}

func newDecider(e *Engine, p Params, keep keeping) *decider {
	j := p.Rules.Judge(p.AsOf, p.Now)
	return &decider{judge: j, params: p, keep: keep, keepLast: newKeepLast(e, j, p)}
}

// alone judges facts of a piece as far as they alone tell. It asks the store for nothing: the store may still be reading.
func (d *decider) alone(p *piece, found []fact.Candidate) {
	facts := slices.Grow(d.buffer[:0], len(found))
	for i := range found {
		c := &found[i]
		if d.keep != keepDecisions { // texts of what is kept may be parts of those of all
			p.text += c.Text()
		}
		if d.params.Live && d.judge.Live(c) {
			p.live++
		}
		v := d.judge.Decide(c)
		if d.params.Ahead > 0 && d.judge.NeedsRank(c, d.params.Ahead) {
			v.NeedsRank = true
		}
		switch {
		case v.NeedsRank || v.Shadow.NeedsRank:
			clone := c.Clone() // not to keep all that was read with it
			p.text += clone.Text()
			p.undecided = append(p.undecided, judged{&clone, v})
		case d.keeps(v):
			facts = append(facts, judged{c, d.params.spare(c, v)})
		}
	}
	d.add(p, facts)
}

// keeps tells whether there is something to count or to do.
func (d *decider) keeps(v rule.Verdict) bool {
	return v.Action != rule.Ignore || v.Shadow.Policy != "" || d.keep == keepAll
}

// add adds judged facts to a piece, and takes their list for the next ones.
func (d *decider) add(p *piece, facts []judged) {
	if d.keep == keepDecisions {
		p.decisions.add(facts, p.claim.Facts)
	} else {
		p.judged = append(p.judged, facts...)
	}
	clear(facts) // else what was read would stay in memory
	d.buffer = facts
}

// byRank asks the store for the ranks that verdicts of a piece still need, and adds those facts.
func (d *decider) byRank(ctx context.Context, p *piece) error {
	if len(p.undecided) == 0 {
		return nil
	}
	queries := make([]rankQuery, len(p.undecided))
	for i, f := range p.undecided {
		act, shadow := d.judge.Policy(f.fact)
		queries[i].fact = f.fact
		if f.verdict.NeedsRank {
			queries[i].act = act.ID
		}
		if f.verdict.Shadow.NeedsRank {
			queries[i].shadow = shadow.ID
		}
	}
	if err := d.keepLast.mark(ctx, queries); err != nil {
		return err
	}
	for i := range p.undecided {
		c := p.undecided[i].fact
		p.undecided[i].verdict = d.params.spare(c, d.judge.Decide(c))
	}
	d.add(p, slices.DeleteFunc(p.undecided, func(f judged) bool { return !d.keeps(f.verdict) }))
	p.undecided = nil
	return nil
}
