package report

import (
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
)

// summaryOf is the page of a run, with the most important facts first.
func summaryOf(r Run) *summary {
	j := r.job()
	s := &summary{Answer: answerOf(r), Looked: lookedAt(j), Tiles: tilesOf(r), Warnings: proseOf(r.Warnings()), Made: r.Made}
	for _, note := range allNotes(r) {
		s.Notes = append(s.Notes, sentence(note))
	}
	s.Kind, s.State, s.Tone = kindOf(r)
	for _, of := range []section{
		standingSection(r), histogramSection(r), groupSection(r), tenantSection(r), forecastSection(r.forecast()), historySection(r), protectionSection(j), rulesSection(j),
		sampleSection(r),
		failureSection(j), jobSection(r), scopeSection(r),
	} {
		if len(of.Intro)+len(of.Figures)+len(of.Tables)+len(of.Commands) > 0 {
			s.Sections = append(s.Sections, of)
		}
	}
	return s
}

func kindOf(r Run) (kind, state string, of tone) {
	j := r.job()
	switch {
	case r.Preview != nil:
		return "Dry run", "", toneGood
	case j.State == job.Undoing || j.State == job.Undone:
		kind = "Undo of a sweep"
	default:
		kind = "Sweep"
	}
	switch {
	case dead(j):
		return kind, "left behind", toneCare
	case j.State == job.Done || j.State == job.Undone:
		of = toneGood
	case j.State == job.Failed:
		of = toneWrong
	case j.State == job.Paused || j.State == job.Cancelled:
		of = toneCare
	default:
		of = toneBusy
	}
	state = clipped(string(j.State))
	switch j.State {
	case job.Undoing:
		state = "running"
	case job.Undone:
		state = "done"
	}
	return kind, state, of
}

// answerOf is the first sentence of the page: the result of the run.
func answerOf(r Run) prose {
	j := r.job()
	c := j.Counts
	facts := func(n int64) string { return counted(n, "fact", "facts") }
	switch {
	case r.Stats != nil && c.Due() > 0:
		live := r.Stats.Standing.Live()
		return words(changeText(c.WouldExpire(), c.ReducedOnly, live, "live fact", "would expire", "would fade") + " in ").name(r.Target).then(". Nothing was written.")
	case r.Stats != nil:
		return words("Nothing would expire of " + counted(r.Stats.Standing.Live(), "live fact", "live facts") + " in ").name(r.Target).then(".")
	case r.Preview != nil && c.Due() == 0:
		return words("Nothing would expire of " + facts(c.Examined) + " in ").name(r.Target).then(".")
	case r.Preview != nil:
		return words(changeText(c.WouldExpire(), c.ReducedOnly, c.Examined, "fact", "would expire", "would fade") + " in ").name(r.Target).then(". Nothing was written.")
	case j.State == job.Undone:
		return words("The undo gave back " + facts(c.Restored) + " in ").name(r.Target).then(", and left " + facts(c.LeftAlone) + " alone: changed since by others.")
	case j.State == job.Undoing:
		return words("The undo has given back " + facts(c.Restored) + " of " + humanize.Comma(c.Decayed) + " in ").name(r.Target).then(".")
	case j.Node:
		return words("The node swept ").name(r.Target).then(", and expired " + facts(c.Expired()) + ".")
	case j.Ended() && c.Selected == 0:
		return words("There was nothing to expire among " + facts(c.Examined) + " in ").name(r.Target).then(".")
	case j.Ended():
		return words(changeText(c.Expired(), c.ReducedOnly, c.Examined, "fact", "expired", "faded") + " in ").name(r.Target).then(".")
	}
	_, standing := headline(r)
	return words(changeText(c.Expired(), c.ReducedOnly, 0, "fact", "expired", "faded") + " so far in ").name(r.Target).then(strings.TrimSuffix(". "+standing, " "))
}

// changeText counts the changes, of so many facts. If of is 0, that number is left out.
func changeText(ends, fades, of int64, one, end, fade string) string {
	text := counted(ends, one, one+"s")
	if of > 0 {
		text = humanize.Comma(ends) + " of " + counted(of, one, one+"s")
	}
	text += " " + end
	if fades > 0 {
		text += " and " + humanize.Comma(fades) + " " + fade
	}
	return text
}

// lookedAt says which facts were judged, and by which rules.
func lookedAt(j job.Job) prose {
	if j.Node {
		return words("scope ").name(orAll(j.Scope))
	}
	line := words("as of " + second(j.AsOf) + " · scope ").name(orAll(j.Scope)).then(" · tenant ").name(orAll(j.Tenant)).then(" · rules ")
	return line.name(j.Rules.Words())
}

// portionText is n in percent of a whole. It is not rounded to 0 % or 100 % unless that is exact.
func portionText(n, of int64) string {
	if of <= 0 || n <= 0 {
		return "0%"
	}
	percent := float64(n) / float64(of) * 100
	switch {
	case n >= of:
		return "100%"
	case percent < 0.1:
		return "<0.1%"
	case percent > 99.9:
		return ">99.9%"
	case percent < 9.95 || percent > 99:
		return strconv.FormatFloat(percent, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(percent, 'f', 0, 64) + "%"
}

// commandsOf are the commands that the operator may want next.
func commandsOf(r Run) []command {
	j := r.job()
	if r.Preview != nil || j.Node {
		return nil
	}
	var lines []command
	switch {
	case j.Ended() && j.State == job.Failed:
	case j.State == job.Pending, j.State == job.Running, j.State == job.Paused, j.State == job.Failed:
		lines = append(lines, command{"go on with the job", Command("resume", j)})
	case j.State == job.Undoing:
		lines = append(lines, command{"go on with the undo", Command("undo", j)})
	}
	if j.State.May(job.Undoing) && j.State != job.Undoing && j.Counts.Decayed > 0 {
		lines = append(lines, command{"list each fact that the sweep changed", Command("facts", j)}, command{"take the sweep back", Command("undo", j)})
	}
	return lines
}
