package report

import (
	"io"

	"github.com/dustin/go-humanize"

	"decayctl/internal/rule"
	"decayctl/internal/stats"
	"decayctl/internal/sweep"
)

// WriteMarkdown writes the check of the policies as Markdown.
func (c Checked) WriteMarkdown(w io.Writer) error { return c.summary().writeMarkdown(w) }

// WriteHTML writes the check of the policies as an HTML page.
func (c Checked) WriteHTML(w io.Writer) error { return c.summary().writeHTML(w) }

func (c Checked) summary() *summary {
	s := &summary{Kind: "Check of policies", Tiles: c.tiles(), Warnings: proseOf(c.Warnings), Made: c.Made}
	s.Answer = words("Checked " + counted(int64(len(c.Rules.Policies)), "policy", "policies"))
	if c.Target != "" {
		s.Answer = s.Answer.then(" against ").name(c.Target)
	}
	s.Answer = s.Answer.then(": " + c.verdict() + ". Nothing was written.")
	for _, note := range c.Notes {
		s.Notes = append(s.Notes, Clean(note))
	}
	for _, of := range []section{c.foundSection(), c.shadowSection()} {
		if len(of.Tables) > 0 {
			s.Sections = append(s.Sections, of)
		}
	}
	return s
}

// live is how many facts of the store are live.
func (c Checked) live() (n int64) {
	for _, of := range c.Found.Live {
		n += of
	}
	return n
}

// tiles sum up what the policies would do. Each fact counts once, for the first policy that matches it.
func (c Checked) tiles() []tile {
	if c.Found == nil {
		return nil
	}
	var expires, reduces, kept int64
	c.each(func(p rule.Policy, of *sweep.Surveyed) {
		if p.Mode != rule.ModeDryRun {
			expires, reduces, kept = expires+of.Expired(), reduces+of.Reduces, kept+of.Kept
		}
	})
	tiles := []tile{{humanize.Comma(expires), "would expire", portionText(expires, c.live()) + " of " + counted(c.live(), "live fact", "live facts"), stats.ByTTL.String()}}
	if reduces > 0 {
		tiles = append(tiles, tile{humanize.Comma(reduces), "would lose confidence", "and live on", stats.Reduced.String()})
	}
	return append(tiles, tile{humanize.Comma(kept), "protected", "a policy would select them, a protection holds", stats.Protected.String()})
}

// foundSection lists the policies that may change facts, with their counts.
func (c Checked) foundSection() section {
	t := grid{Caption: "What each policy finds, in the order in which they are tried", Columns: columns("policy", "for", "does", "matched#", "would expire#", "would reduce#", "kept#")}
	c.each(func(p rule.Policy, of *sweep.Surveyed) {
		if p.Mode != rule.ModeDryRun {
			t.Rows = append(t.Rows, []cell{name(p.ID), name(matches(p)), plain(does(p)), number(of.Matched), number(of.Expired()), number(of.Reduces), number(of.Kept)})
		}
	})
	return policySection("policies", "Policies", t)
}

// shadowSection lists the policies in mode dry_run, with their counts. Other rules decide on the same facts.
func (c Checked) shadowSection() section {
	t := grid{Caption: "What policies in mode dry_run count", Columns: columns("policy", "for", "does", "matched#", "would expire#", "would reduce#")}
	c.each(func(p rule.Policy, of *sweep.Surveyed) {
		if p.Mode == rule.ModeDryRun {
			t.Rows = append(t.Rows, []cell{name(p.ID), name(matches(p)), plain(does(p)), number(of.Matched), number(of.Expired()), number(of.Reduces)})
		}
	})
	return policySection("dry_run", "Policies in mode dry_run", t)
}

func policySection(id, title string, t grid) section {
	s := section{ID: id, Title: title}
	if left := len(t.Rows) - pagePolicies; left > 0 {
		t.Rows, t.More = t.Rows[:pagePolicies], moreRows(left, "policies")
	}
	if len(t.Rows) > 0 {
		s.Tables = []grid{t}
	}
	return s
}
