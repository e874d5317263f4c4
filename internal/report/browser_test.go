package report

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"decayctl/internal/rule"
	"decayctl/internal/skiptest"
	"decayctl/internal/stats"
)

// evil are names that would do something on a page that took them for markup, or that would not be seen.
var evil = []string{
	`<script>document.title = "ran"</script>`, `"><img src="https://x.example/a.png" onerror="document.title = 'ran'">`, `javascript:document.title='ran'`,
	`</code></title></style></script></svg><script>document.title = "ran"</script>`, `' onmouseover='document.title="ran"`, `{{.Policy}}${7*7}`,
	"\u202egnp.live\u2066", "\x00\x1b[2J\x1b]0;ran\a", "<!--", "]]>", "&lt;script&gt;", `<base href="https://x.example/"><meta http-equiv="refresh" content="0">`,
	`<svg onload="document.title='ran'">`, strings.Repeat("x", 1_000_000),
}

// hostilePages are a dry run and a job in which every name is evil.
func hostilePages() map[string]pageWriter {
	r, all := pictured(), strings.Join(evil[:13], " ")
	r.Target, r.Job.Scope, r.Job.Tenant, r.Notes = all, all, evil[0], evil
	r.Made.Command = "decayctl dry-run --scope " + all
	for i, name := range evil {
		r.Stats.Groups = append(r.Stats.Groups, stats.Group{Tenant: name, Scope: name, Relation: name, Counts: stats.Counts{stats.ByTTL: int64(i)}})
		r.Stats.Forecast.Rules = append(r.Stats.Forecast.Rules, stats.RuleSeries{Rule: rule.NamePolicy + name, Series: r.Stats.Forecast.Total})
		r.Preview.AddTenant(name, 7)
		r.Job.Rules.Policies = append(r.Job.Rules.Policies, rule.Policy{ID: name, Relation: name, Entity: name, Source: name, Tenant: name, Mode: rule.ModeConfidence, HalfLife: 1})
		sample := r.Preview.Samples[0]
		sample.Fact.ID, sample.Fact.Entity, sample.Fact.Relation, sample.Fact.Scope, sample.Fact.Tenant, sample.Fact.Timestamp, sample.Reason = name, name, name, name, name, name, name
		r.Preview.Samples = append(r.Preview.Samples, sample)
	}
	j := failing(1)
	j.Target, j.Job.ID, j.Job.StopReason, j.Job.Workers = all, all, all, workers()
	for _, name := range evil {
		j.Job.Counts.AddFailure(name, name)
		j.Job.Workers[0].Host = name
	}
	f := forecastBounded()
	f.Target, f.Scope, f.Tenant, f.Notes = all, all, evil[0], evil
	for i, name := range evil {
		f.Forecast.Groups[i].Key = name
	}
	return map[string]pageWriter{"hostile dry run": r, "hostile job": j, "hostile forecast": f}
}

//go:embed testdata/browser.js
var looks string

// seen is what testdata/browser.js finds on a page.
type seen struct {
	Title    string
	Overflow int      // how much wider the page is than the window
	First    float64  // where the first screen's answer ends
	Faint    []string // texts with a contrast below 4.5
	Texts    int      // how many texts were looked at
	Sorted   string   // what is wrong with the order of a table after clicks; "" is nothing
	Figures  int      // charts whose texts stick out of them
}

// TestPagesInABrowser opens pages in a real browser: nothing but the page is loaded, no script but its own runs, all of it can be
// read, by people who see little or nothing too, on a wide and a narrow screen, light and dark.
func TestPagesInABrowser(t *testing.T) {
	t.Parallel()
	browser := startBrowser(t)
	all := map[string]pageWriter{"pictured": pictured(), "policies": sweptByPolicies(), "forecast": forecasts()["forecast-30"], "unusual": runs()["dry-run-unusual"], "left behind": leftBehind(), "nothing": notices()["no-job"].(pageWriter)}
	for name, d := range hostilePages() {
		all[name] = d
	}
	for name, d := range all {
		file := filepath.Join(t.TempDir(), "report.html")
		if err := os.WriteFile(file, []byte(asHTML(t, d)), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { openPage(t, browser, "file://"+file) })
	}
}

// Should a name ever get onto a page as markup, the page's security policy still lets no script run and nothing be loaded.
func TestThePolicyHolds(t *testing.T) {
	t.Parallel()
	tab, cancel := chromedp.NewContext(startBrowser(t))
	defer cancel()
	file := filepath.Join(t.TempDir(), "report.html")
	page := strings.Replace(asHTML(t, dryRun()), "<main>", "<main>"+strings.Join(evil[:13], "\n</main><main>")+`<p id="p" style="color: red">`, 1)
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	heard := listenTo("file://" + file)
	if err := chromedp.Listen(tab, heard.hear); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(tab, chromedp.Navigate(heard.url)); err != nil {
		t.Fatal(err)
	}
	title, err := chromedp.Run(tab, chromedp.Title())
	if err != nil {
		t.Fatal(err)
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if !strings.HasPrefix(title, "decayctl: ") {
		t.Errorf("a script ran: the title is %q", title)
	}
	blocked := 0
	for _, what := range heard.all {
		if strings.Contains(what, "Content Security Policy") {
			blocked++
		}
	}
	for id, url := range heard.requests {
		if !heard.blocked[id] {
			t.Errorf("%s was asked for", url)
		}
	}
	if blocked == 0 { // then the other test would hear nothing either
		t.Errorf("the browser did not say that it blocked something: %q", heard.all)
	}
}

// startBrowser starts a browser that is not shown. Root may not use its sandbox.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	skiptest.Programs(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// openPage opens a page once, and looks at it on each screen.
func openPage(t *testing.T, browser context.Context, url string) {
	t.Helper()
	tab, cancel := chromedp.NewContext(browser)
	defer cancel()
	heard := listenTo(url)
	if err := chromedp.Listen(tab, heard.hear); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(tab, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	for _, size := range [][2]int64{{1280, 800}, {390, 844}} {
		for _, colors := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d %s", size[0], colors), func(t *testing.T) { lookAt(t, tab, size, colors) })
		}
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if len(heard.all) > 0 {
		t.Errorf("the browser complains: %q", heard.all)
	}
	if heard.loaded != 1 {
		t.Errorf("the page was loaded %d times", heard.loaded)
	}
}

// lookAt looks at the open page on one screen.
func lookAt(t *testing.T, tab context.Context, size [2]int64, colors string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(chromedp.Do(tab, chromedp.EmulateViewport(size[0], size[1])))
	_, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colors}}})
	check(err)
	tree, err := chromedp.Call(tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	check(err)
	checkRoles(t, tree.Nodes)
	if folder := os.Getenv("REPORT_SCREENSHOTS"); folder != "" {
		png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
		check(err)
		check(os.WriteFile(filepath.Join(folder, strings.ReplaceAll(filepath.Base(filepath.Dir(t.Name()))+"-"+filepath.Base(t.Name()), " ", "-")+".png"), png, 0o600))
	}
	found, err := chromedp.Run(tab, chromedp.Evaluate[seen](looks))
	check(err)
	if !strings.HasPrefix(found.Title, "decayctl: ") {
		t.Errorf("the title is %q now: a script ran", found.Title)
	}
	if found.Overflow > 0 {
		t.Errorf("the page is %d pixels wider than the window", found.Overflow)
	}
	if found.First > float64(size[1]) {
		t.Errorf("the first screen's answer ends at %v, and the window at %d", found.First, size[1])
	}
	if found.Texts < 2 || len(found.Faint) > 0 {
		t.Errorf("of %d texts these have little contrast: %q", found.Texts, found.Faint)
	}
	if found.Sorted != "" {
		t.Error(found.Sorted)
	}
	if found.Figures > 0 {
		t.Errorf("the texts of %d charts stick out of them", found.Figures)
	}
}

// complaints are what a page must not do: load something, ask something, say something, fail.
type complaints struct {
	mu     sync.Mutex
	url    string
	loaded int
	all    []string

	requests map[network.RequestID]string // of anything but the page
	blocked  map[network.RequestID]bool   // by the page's security policy, before they left
}

func listenTo(url string) *complaints {
	return &complaints{url: url, requests: map[network.RequestID]string{}, blocked: map[network.RequestID]bool{}}
}

func (c *complaints) hear(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Request.URL == c.url {
			c.loaded++
		} else {
			c.all, c.requests[e.RequestID] = append(c.all, "request of "+e.Request.URL), e.Request.URL
		}
	case *network.EventLoadingFailed:
		c.blocked[e.RequestID] = e.BlockedReason == network.BlockedReasonCsp
	case *runtime.EventConsoleAPICalled:
		c.all = append(c.all, fmt.Sprintf("console: %s", e.Args[0].Value))
	case *runtime.EventExceptionThrown:
		c.all = append(c.all, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		c.all = append(c.all, "log: "+e.Entry.Text)
	case *cdppage.EventJavascriptDialogOpening:
		c.all = append(c.all, "dialog: "+e.Message)
	}
}

// checkRoles fails unless the page has what a screen reader goes by: headings in order, tables with names and headers, pictures
// with names and descriptions.
func checkRoles(t *testing.T, nodes []*accessibility.Node) {
	t.Helper()
	text := func(v *accessibility.Value) (s string) {
		if v != nil {
			_ = json.Unmarshal(v.Value, &s) // what is no text stays ""
		}
		return s
	}
	count := map[string]int{}
	level := 0
	for _, n := range nodes {
		role := text(n.Role)
		count[role]++
		switch role {
		case "heading":
			for _, p := range n.Properties {
				if p.Name != accessibility.PropertyNameLevel {
					continue
				}
				var to int
				if err := json.Unmarshal(p.Value.Value, &to); err != nil {
					t.Fatal(err)
				}
				if to > level+1 || to == 1 && level > 0 {
					t.Errorf("heading %q has level %d after %d", text(n.Name), to, level)
				}
				level = to
			}
		case "table":
			if text(n.Name) == "" {
				t.Error("a table has no name")
			}
		case "image", "img":
			count["picture"]++
			if text(n.Name) == "" || text(n.Description) == "" && text(n.Name) != "" && !strings.Contains(text(n.Name), " ") {
				t.Errorf("a picture has the name %q and the description %q", text(n.Name), text(n.Description))
			}
		case "button":
			if text(n.Name) == "" {
				t.Error("a button has no name")
			}
		}
	}
	if level == 0 || count["main"] != 1 || count["banner"] != 1 {
		t.Errorf("the page has no headings, or not its landmarks: %v", count)
	}
	if tables := count["table"]; tables > 0 && (count["columnheader"] < 2*tables || count["rowheader"] < tables) {
		t.Errorf("tables have no headers: %v", count)
	}
}
