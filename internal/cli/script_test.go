package cli_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/term"

	"decayctl/internal/cli"
	"decayctl/internal/schematest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/storetest"
)

// programs are what tests run as processes.
var programs = map[string]func(){
	"decayctl": func() {
		if p := cli.ThisProcess(); os.Getenv(schemasVariable) == "" {
			os.Exit(cli.Main(p))
		} else {
			os.Exit(checked(p))
		}
	},
}

// schemasVariable names the folder of the schemas to a process, if its JSON has to fit them.
const schemasVariable = "TEST_SCHEMAS"

// schemas are those in docs/schema.
var schemas = sync.OnceValues(func() (schematest.Schemas, error) {
	return schematest.Load(cmp.Or(os.Getenv(schemasVariable), "../../docs/schema"))
})

// checked runs a command, and fails with an exit code that no script expects if it writes JSON that does not fit its
// schema. What could not be written to its end is not checked.
func checked(p cli.Process) int {
	if file, ok := p.Stdout.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return cli.Main(p)
	}
	var written bytes.Buffer
	out := &kept{Writer: p.Stdout, copy: &written}
	p.Stdout = out
	exit := cli.Main(p)
	if out.failed || !bytes.HasPrefix(written.Bytes(), []byte("{")) {
		return exit
	}
	all, err := schemas()
	if err == nil {
		_, err = all.CheckAll(written.Bytes())
	}
	if err != nil {
		_, _ = fmt.Fprintln(p.Stderr, err)
		return 97
	}
	return exit
}

// kept keeps what passes through it.
type kept struct {
	io.Writer
	copy   *bytes.Buffer
	failed bool
}

func (k *kept) Write(p []byte) (int, error) {
	n, err := k.Writer.Write(p)
	k.copy.Write(p[:n])
	k.failed = k.failed || err != nil
	return n, err
}

// usualWait is how long completions wait outside of tests.
var usualWait time.Duration

func TestMain(m *testing.M) {
	usualWait = cli.CompleteWithin(time.Minute)
	testscript.Main(m, programs)
}

// scripts is the folder of the scripts.
const scripts = "testdata/script"

// independent is the folder of the scripts about what does not depend on the database.
const independent = scripts + "/any"

// TestScripts runs the scripts, with $STORE naming a store that holds the standard facts: those in both on each database, and
// those in any on the first one. TestSoakScripts has the others. "exits" starts a process only in scripts in both and sqlite, on
// SQLite, whose locks belong to a process: with the race detector a start takes longer than most commands.
func TestScripts(t *testing.T) {
	t.Parallel()
	t.Run("any", func(t *testing.T) {
		t.Parallel()
		runScripts(t, backends[0], independent, true)
	})
	for _, b := range backends {
		for _, folder := range []string{"both", b.name} {
			t.Run(b.name+" "+folder, func(t *testing.T) {
				t.Parallel()
				runScripts(t, b, filepath.Join(scripts, folder), b.name != "sqlite")
			})
		}
	}
}

type storeKey struct{}

type nodeKey struct{}

type hereKey struct{}

// runScripts runs the scripts of a folder. If here, "exits" runs decayctl in this process.
func runScripts(t *testing.T, b backend, folder string, here bool) {
	t.Helper()
	schemaFolder, err := filepath.Abs("../../docs/schema")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 folder,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			db, target, environ := b.fresh(t)
			db.Insert(t, standard()...)
			env.Values[storeKey{}], env.Values[nodeKey{}], env.Values[hereKey{}] = db, environ, here
			env.Setenv("STORE", target)
			env.Setenv("SHOWN", "sqlite:"+target)
			env.Setenv("BACKEND", b.name)
			env.Setenv(schemasVariable, schemaFolder)
			env.Setenv("ASOF", "2026-06-15T12:00:00Z")
			if address, err := url.Parse(target); err == nil && address.User != nil {
				password, _ := address.User.Password()
				env.Setenv("PGSECRET", password)
				env.Setenv("PGADDRESS", address.Host)
				env.Setenv("PGUSER_NAME", address.User.Username())
				env.Setenv("PGDB", strings.TrimPrefix(address.Path, "/"))
				env.Setenv("SHOWN", "postgres://"+address.User.Username()+"@"+address.Host+address.Path+" (schema public)")
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     cmdExits,
			"sql":       cmdSQL,
			"sqlfile":   cmdSQLFile,
			"live":      cmdLive,
			"same":      cmdSame,
			"node":      cmdNode,
			"asnobody":  cmdAsNobody,
			"until":     cmdUntil,
			"jobid":     cmdJobID,
			"sqlscript": cmdSQLScript,
		},
	})
}

// cmdExits runs a program and holds it to one exit code: exits 4 decayctl sweep …
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG…]")
	}
	if here, _ := ts.Value(hereKey{}).(bool); here && args[1] == "decayctl" {
		holdCode(ts, args[0], runHere(ts, args[2:]))
		return
	}
	hold(ts, args[0], ts.Exec(args[1], args[2:]...))
}

// runHere runs decayctl in this process, with the environment and the folder that a process of the script would have.
func runHere(ts *testscript.TestScript, args []string) (code int) {
	ts.Check(ts.Exec("sh", "-c", `env >"$TMPDIR/env"`)) // testscript gives the whole environment to processes only
	environ := strings.Split(strings.TrimSuffix(ts.ReadFile(ts.Getenv("TMPDIR")+"/env"), "\n"), "\n")
	return checked(cli.Process{
		Args: args, Environ: environ, Dir: ts.MkAbs("."), Stdin: strings.NewReader(""), Stdout: ts.Stdout(), Stderr: ts.Stderr(), Now: time.Now,
	})
}

// hold compares a program's exit code.
func hold(ts *testscript.TestScript, code string, err error) {
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	holdCode(ts, code, got)
}

func holdCode(ts *testscript.TestScript, code string, got int) {
	want, failed := strconv.Atoi(code)
	ts.Check(failed)
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdSQLScript runs the statements in a file, as an administrator would: sqlscript FILE
func cmdSQLScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sqlscript FILE")
	}
	_, err := storeOf(ts).SQL.ExecContext(context.Background(), ts.ReadFile(args[0]))
	ts.Check(err)
}

// storeOf is the store of a script.
func storeOf(ts *testscript.TestScript) storetest.Database {
	db, ok := ts.Value(storeKey{}).(storetest.Database)
	if !ok {
		ts.Fatalf("no store")
	}
	return db
}

// cmdUntil asks the store again and again until it answers as told: until STATEMENT ROW
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until STATEMENT ROW")
	}
	db := storeOf(ts)
	began := time.Now()
	storetest.Await(func() bool {
		rows, err := db.Query(args[0]) // which fails before the table is there, or while SQLite is locked
		if time.Since(began) > 5*time.Minute {
			ts.Fatalf("still %q after five minutes, %v", rows, err)
		}
		return err == nil && len(rows) > 0 && rows[0] == args[1]
	})
}

// cmdJobID puts the id of the newest job into a variable: jobid NAME
func cmdJobID(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jobid NAME")
	}
	rows, err := storeOf(ts).Query("SELECT job_id FROM decayctl_jobs ORDER BY stamp DESC LIMIT 1")
	ts.Check(err)
	ts.Setenv(args[0], rows[0])
}

// cmdSQL asks the store behind the program's back; stdout has a line for each row.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql STATEMENT")
	}
	rows, err := storeOf(ts).Query(args[0])
	ts.Check(err)
	for _, row := range rows {
		_, err := fmt.Fprintln(ts.Stdout(), row)
		ts.Check(err)
	}
}

// cmdSQLFile changes a copy of a SQLite store and leaves no log behind.
func cmdSQLFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sqlfile FILE STATEMENT")
	}
	db, err := sample.OpenSQLite(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.ExecContext(context.Background(), args[1])
	ts.Check(err)
	ts.Check(db.Close())
}

// cmdLive opens a SQLite store as a node does, runs a statement and stays connected until the
// script ends.
func cmdLive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: live FILE STATEMENT")
	}
	db, err := sample.OpenSQLite(ts.MkAbs(args[0]))
	ts.Check(err)
	conn, err := db.Conn(context.Background())
	ts.Check(err)
	_, err = conn.ExecContext(context.Background(), args[1])
	ts.Check(err)
	ts.Defer(func() {
		_ = conn.Close()
		_ = db.Close()
	})
}

// cmdNode puts the script into the environment of the node whose store it is.
func cmdNode(ts *testscript.TestScript, neg bool, args []string) {
	environ, ok := ts.Value(nodeKey{}).([]string)
	if neg || len(args) > 0 || !ok {
		ts.Fatalf("usage: node")
	}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		ts.Setenv(name, value)
	}
}

// cmdSame compares two folders, or two files, to the byte: names, modes and contents.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: same A B")
	}
	a, b := listing(ts, ts.MkAbs(args[0])), listing(ts, ts.MkAbs(args[1]))
	if (a == b) == neg {
		ts.Fatalf("%s\nand\n%s", a, b)
	}
}

func listing(ts *testscript.TestScript, root string) string {
	var lines []string
	ts.Check(filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		lines = append(lines, fmt.Sprintf("%s %s %x", name, info.Mode(), content))
		return err
	}))
	return strings.Join(lines, "\n")
}
