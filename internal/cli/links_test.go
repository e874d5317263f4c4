package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	mdLink    = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]+))?\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unnamed   = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestLinks: each link from one page of this repository to another finds its page, and its heading there.
func TestLinks(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	headings := func(page string) map[string]bool {
		found := map[string]bool{}
		for _, m := range mdHeading.FindAllStringSubmatch(prose(t, page), -1) {
			found[strings.ReplaceAll(unnamed.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
		}
		return found
	}
	var pages []string
	for _, folder := range []string{".", "docs"} {
		more, err := filepath.Glob(filepath.Join(root, folder, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	checked := 0
	for _, page := range pages {
		for _, m := range mdLink.FindAllStringSubmatch(prose(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			target := page
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			} else if m[2] != "" && !headings(target)[m[2]] {
				t.Errorf("%s links to the heading #%s, which %s does not have", page, m[2], target)
			}
		}
	}
	if checked == 0 {
		t.Fatal("no page links to another")
	}
}

// prose is a page without its examples.
func prose(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return codeBlock.ReplaceAllString(string(text), "")
}
