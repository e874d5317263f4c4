package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What python-dotenv makes of a file, tried out with python-dotenv 1.2.4.
func TestDotenv(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"HOMEX": "/h", "DUP": "env"}
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"A=1\nB = 2 \nexport C=3\n export \t D=4", []string{"A=1", "B=2", "C=3", "D=4"}},
		{"A='x y' # c\nB=\"x # y\" # z\nC=x # y\nD=x#y\nE=#x\nF= # x\nG=x\t#y", []string{"A=x y", "B=x # y", "C=x", "D=x#y", "E=#x", "F=", "G=x"}},
		{`A="a\nb\"c\\d\$e"` + "\n" + `B='a\nb\'c\\d'` + "\n" + `C=a\nb`, []string{"A=a\nb\"c\\d\\$e", `B=a\nb'c\d`, `C=a\nb`}},
		{"A=$HOMEX\nB=${HOMEX}/x\nC='${HOMEX}'\nD=${NONE}\nE=${NONE:-def}\nF=${A}x\nDUP=file\nG=${DUP}\nH=${HOMEX:-q}\nI=${}\nJ=${X",
			[]string{"A=$HOMEX", "B=/h/x", "C=/h", "D=", "E=def", "F=$HOMEXx", "DUP=file", "G=file", "H=/h", "I=", "J=${X"}},
		{"A=${A:b}${HOMEX}", []string{"A=${A:b}/h"}},
		{"A=\"multi\nline\"\nB=1", []string{"A=multi\nline", "B=1"}},
		{"A=\"broken\nB=1", []string{"B=1"}},
		{"A='x'y\nB=1\nC=\"x\" \"y\"\nD E=1\n'F=1\nG: 1\n=4\nH=2", []string{"B=1", "H=2"}},
		{"A\nB=1\nexport C\nD=\nE=''\nF", []string{"B=1", "D=", "E="}},
		{"# c\n\n  # d\nA=1\r\nB=2\rC=3", []string{"A=1", "B=2", "C=3"}},
		{"a-b=1\nx.y=2\n'q k'=3\n1=5\nexportA=1\nexport=2", []string{"a-b=1", "x.y=2", "q k=3", "1=5", "exportA=1", "export=2"}},
		{"A==x\nB=a=b\nC=it's", []string{"A==x", "B=a=b", "C=it's"}},
		{"A=postgres://u:p#w$x@h/d?a=b c", []string{"A=postgres://u:p#w$x@h/d?a=b c"}},
		{"\uFEFFA=1", []string{"A=1"}},
		{"A=x\u00a0#y\nB=\u00a0x\nC=x\u2028y\nD=1\fE=2", []string{"A=x", "B=x", "C=x\u2028y", "D=1\fE=2"}},
		{"A='b\\\\'\nB=1", []string{`A=b\`, "B=1"}},
		{"A=1 # one\n# '\nB='2'", []string{"A=1", "B=2"}},
	} {
		got, err := parseDotenv(".env", test.text, environ)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q:\ngot  %q, %v\nwant %q", test.text, got, err, test.want)
		}
	}
}

// A line with a name of the node that the node cannot read must not pass unseen.
func TestDotenvBroken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"\nSTIGMEM_PG_DSN='postgres://u:hunter2@h/d\n",
		"\nexport stigmem_pg_dsn=\"postgres://u:hunter2@h/d\"x\n",
		"\nSTIGMEM_PG_DSN postgres://u:hunter2@h/d\n",
		"\nA=\"x\nSTIGMEM_PG_DSN=\"postgres://u:hunter2@h/d\"\n",
	} {
		_, err := parseDotenv("x.env", text, nil)
		const want = "x.env:2 cannot be read, so the node ignores it; look for a missing quote or text after one"
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// The last of equal names counts.
func TestDotenvTwice(t *testing.T) {
	t.Parallel()
	if got := mustLoad(t, given{dotenv: "STIGMEM_DECAY_TTL_SECONDS=1\nSTIGMEM_DECAY_TTL_SECONDS=2\n"}).Selection.Rules.String(); got != "ttl 2s" {
		t.Errorf("got %s", got)
	}
}

// Directories with the files' names are not the files.
func TestDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{".env", "decayctl.yaml"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(given{}.source(t, dir), testNow); err != nil {
		t.Error(err)
	}
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := given{}.source(t, dir)
	// A link to itself is unreadable for root too.
	if err := os.Symlink("decayctl.yaml", filepath.Join(dir, "decayctl.yaml")); err != nil {
		t.Fatal(err)
	}
	const want = "decayctl.yaml: too many levels of symbolic links; make it readable, or name another file with --config"
	if _, err := Load(source, testNow); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
