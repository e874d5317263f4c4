// Command bench measures decayctl on equal copies of one store. It measures how much a sweep delays a writer and the
// clients of a real node. It compares a sweep's duration with the node's row-by-row method and with a set-based SQL
// script. It is no part of decayctl. `make bench` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"decayctl/internal/interop/nodeproc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start is one process of a benchmark: the one that measures, or a child, whose memory and time are measured apart.
func start(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case rowByRowChild:
			return rowByRow(ctx, args[1:], os.Stdout)
		case writerChild:
			return write(ctx, args[1:], os.Stdin, os.Stdout)
		case clientChild:
			return useNode(ctx, args[1:], os.Stdin, os.Stdout)
		case profiledChild:
			return profiled(args[1], args[2:])
		}
	}
	p, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	if p.self, err = os.Executable(); err != nil {
		return err
	}
	return p.measure(ctx, os.Stdout)
}

// plan says what to measure.
type plan struct {
	facts       []int
	stores      []string
	cases       []string
	contestants []string
	times       int           // repetitions of each measurement
	baseline    time.Duration // how long a writer, or a node's clients, are measured without a sweep
	out         string        // the page; "" is none
	decayctl    string        // the program
	against     string        // another build of decayctl, measured alternately; "" is none
	node        nodeproc.Installation
	settings    string // of PostgreSQL, besides those of every run
	profile     string // file for decayctl's CPU profile; "" is none
	templates   string // folder that keeps filled stores for the next run; "" keeps none
	self        string // this program, for its children
	command     string // the command line of this run
}

func parse(args []string, stderr io.Writer) (plan, error) {
	p := plan{command: "go run ./internal/bench " + strings.Join(args, " ")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	facts := flags.String("facts", "1000000", "`sizes` of the stores, as in 10000,100000")
	stores := flags.String("stores", strings.Join(storeNames, ","), "the `stores` to measure")
	cases := flags.String("cases", strings.Join(caseNames, ","), "the `cases` to measure")
	contestants := flags.String("contestants", "", "`who` is measured: some of "+strings.Join(contestantNames, ",")+" (default: all)")
	flags.IntVar(&p.times, "times", 1, "repeat each measurement this `number` of times and take the median")
	flags.DurationVar(&p.baseline, "baseline", 30*time.Second, "how `long` a writer, and a node's clients, are measured without a sweep")
	flags.StringVar(&p.out, "out", "", "write the results into this `page`, and a .json and .svg beside it, together with what they have")
	flags.StringVar(&p.decayctl, "decayctl", "bin/decayctl", "the `program` to measure")
	flags.StringVar(&p.against, "against", "", "another decayctl, an older `program`, measured in turns with it as \""+before+"\"")
	flags.StringVar((*string)(&p.node), "node", "bin/node", "the `folder` that internal/interop/install has installed a node into")
	flags.StringVar(&p.templates, "templates", "", "keep filled SQLite stores in this `folder` for the next run")
	flags.StringVar(&p.settings, "settings", "", "more `settings` for PostgreSQL, as lines of postgresql.conf")
	flags.StringVar(&p.profile, "profile", "", "write into this `file` where decayctl's time went, in all runs of it together")
	redraw := flags.Bool("redraw", false, "measure nothing, and write the page of -out again")
	quick := flags.Bool("quick", false, "under a minute: the first sweep of 100,000 facts on SQLite, as far as no flag says otherwise")
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	if flags.NArg() > 0 {
		return p, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *quick {
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range map[string]string{"facts": "100000", "stores": sqliteStore, "cases": firstCase} {
			if !given[name] {
				if err := flags.Set(name, value); err != nil {
					return p, err
				}
			}
		}
	}
	var err error
	for _, text := range strings.Split(*facts, ",") {
		n, bad := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		if bad != nil || n < 1 {
			err = errors.Join(err, fmt.Errorf("-facts: %q is no size", text))
		}
		p.facts = append(p.facts, n)
	}
	choose := func(name, text string, known []string) []string {
		chosen := strings.Split(text, ",")
		for _, one := range chosen {
			if !slices.Contains(known, one) {
				err = errors.Join(err, fmt.Errorf("-%s: %q is none of %s", name, one, strings.Join(known, ", ")))
			}
		}
		return chosen
	}
	p.stores = choose("stores", *stores, storeNames)
	p.cases = choose("cases", *cases, caseNames)
	if *contestants == "" {
		*contestants = strings.Join(contestantNames, ",")
	} else if p.against == "" && slices.Contains(strings.Split(*contestants, ","), before) {
		err = errors.Join(err, fmt.Errorf("-contestants: %s needs -against", before))
	}
	p.contestants = choose("contestants", *contestants, contestantNames)
	if p.against == "" {
		p.contestants = slices.DeleteFunc(p.contestants, func(name string) bool { return name == before })
	}
	if *redraw {
		p.stores = nil
	}
	if p.times < 1 {
		err = errors.Join(err, errors.New("-times: at least 1"))
	}
	return p, err
}
