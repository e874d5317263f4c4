package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// wellFormed fails the test if a chart is not XML. It returns the places of its bars.
func wellFormed(t interface {
	Helper()
	Fatalf(string, ...any)
}, svg string,
) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
}

func TestChartsAreWellFormed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"ttl", "<script>", `"a" & 'b'`, "喜"})
		values := rapid.SliceOfN(rapid.OneOf(rapid.Just(0.0), rapid.Just(1.0), rapid.Float64Range(0, 1e12)), 3, 3)
		bars := Bars{
			ID: "ages", Title: name.Draw(t, "title"), Desc: name.Draw(t, "desc"), Bars: []string{"a", name.Draw(t, "bar"), "c"},
			Ticks: []Tick{{0, name.Draw(t, "tick")}}, Axis: name.Draw(t, "axis"), Line: &Line{1.5, name.Draw(t, "line")},
			Stack: []Series{{name.Draw(t, "series"), "live", values.Draw(t, "live")}, {"ttl", "ttl", values.Draw(t, "ttl")}},
		}
		wellFormed(t, bars.SVG())
		part := Part{name.Draw(t, "part"), "ttl", values.Draw(t, "parts")[0]}
		wellFormed(t, Whole("whole", name.Draw(t, "whole"), name.Draw(t, "said"), []Part{part, {"live", "live", 3}, {"none", "gone", 0}}))
		wellFormed(t, Cell([]Part{part}, part.Value))
		panel := Panel{X: DayAxis(30), Y: NumberAxis(10), Curves: []Curve{{Name: name.Draw(t, "curve"), Class: "ttl", Area: true, Points: [][2]float64{{0, 1}, {30, 9}}}}}
		wellFormed(t, panel.Draw("panel", name.Draw(t, "panel"), ""))
	})
}

// Every part that is not 0 is wide enough to be seen, and all parts together fill the bar.
func TestWidths(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var parts []Part
		all := 0.0
		for _, v := range rapid.SliceOfN(rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(1, 1e9)), 1, 20).Draw(t, "values") {
			parts, all = append(parts, Part{Value: v}), all+v
		}
		sum := 0.0
		for i, width := range widths(parts, all, 1000) {
			if v := parts[i].Value; (v > 0) != (width > 0) || width > 0 && width < 5 {
				t.Fatalf("%v is %v wide", v, width)
			}
			sum += width
		}
		if all > 0 && math.Abs(sum-1000) > 0.1 {
			t.Fatalf("the bar is %v wide", sum)
		}
	})
}

func TestCountAxis(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64][]float64{
		0: {0, 1}, 1: {0, 1}, 3: {0, 1, 2, 3}, 7: {0, 2, 4, 6, 8}, 95: {0, 25, 50, 75, 100}, 10434: {0, 5000, 10000, 15000}, 1e6: {0, 250000, 500000, 750000, 1e6},
	} {
		a := CountAxis(most, 0, 100)
		if got := a.Ticks(); !slices.Equal(got, want) {
			t.Errorf("up to %v: ticks %v, want %v", most, got, want)
		}
		if a.At(0) != 0 || a.At(want[len(want)-1]) != 100 {
			t.Errorf("up to %v: ends at %v and %v", most, a.At(0), a.At(want[len(want)-1]))
		}
	}
}

func TestBlock(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64]string{0: "", 0.0001: "▏", 0.5: "█████", 0.55: "█████▌", 1: "██████████", 1.5: "██████████"} {
		if got := Block(share, 10); got != want {
			t.Errorf("%v is %q, want %q", share, got, want)
		}
	}
	if got, want := Columns([]float64{0, 1, 50, 75, 100}, 2), []string{"      ▄ █ ", "  ▁ █ █ █ "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Columns([]float64{0, 0}, 1); got[0] != "    " {
		t.Errorf("got %q", got)
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 7: "7", 0.25: "0.25", 950: "950", 1500: "1.5k", 20000: "20k", 3e6: "3M", 2.5e9: "2.5G", 1e12: "1T"} {
		if got := Short(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
