package cli_test

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	exitConst = regexp.MustCompile(`(?m)^\t(exit[A-Z]\w*) += (\d+)$`)
	exitNamed = regexp.MustCompile(`"([a-z_]+)", (exit[A-Z]\w*)\b`) // a JSON name and its code, as classify returns them
	exitHelp  = regexp.MustCompile(`(?m)^  (\d+) +\S`)
	exitRow   = regexp.MustCompile(`(?m)^\| (\d+) \|(.*)$`)
	quoted    = regexp.MustCompile("`([a-z_]+)`")
)

// TestExitCodes compares docs/exit-codes.md and the help texts with the codes of exit.go, and with their names in JSON.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	source := read("exit.go")
	code, names := map[string]string{}, map[string][]string{}
	for _, m := range exitConst.FindAllStringSubmatch(source, -1) {
		code[m[1]], names[m[2]] = m[2], nil
	}
	for _, m := range exitNamed.FindAllStringSubmatch(source, -1) {
		names[code[m[2]]] = append(names[code[m[2]]], m[1])
	}
	if len(names) < 10 || len(names["2"]) < 2 {
		t.Fatalf("exit.go was not understood: %v", names)
	}
	documented := map[string][]string{}
	for _, m := range exitRow.FindAllStringSubmatch(read("../../docs/exit-codes.md"), -1) {
		cells := strings.Split(m[2], " | ")
		if _, there := documented[m[1]]; !there {
			documented[m[1]] = nil
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[len(cells)-2], -1) {
			documented[m[1]] = append(documented[m[1]], name[1])
		}
	}
	for _, all := range []map[string][]string{names, documented} {
		for number, each := range all {
			slices.Sort(each)
			all[number] = slices.Compact(each) // two errors may have one name
		}
	}
	if !reflect.DeepEqual(documented, names) {
		t.Errorf("docs/exit-codes.md has %v, and exit.go %v", documented, names)
	}
	for _, command := range [][]string{nil, {"sweep"}, {"dry-run"}, {"jobs"}} {
		_, list, _ := strings.Cut(decayctl(t, nil, append(command, "--help")...).stdout, "Exit codes:\n")
		list, _, _ = strings.Cut(list, "\n\n")
		var helped []string
		for _, m := range exitHelp.FindAllStringSubmatch(list, -1) {
			helped = append(helped, m[1])
		}
		if got, want := slices.Sorted(slices.Values(helped)), slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) {
			t.Errorf("%v: the help has %v, and exit.go %v", command, got, want)
		}
	}
}
