package config

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`unexpected argument "postgres://u:hush@h/db"; see`, `parsing "postgresql://hush@h"`, `sqlite:postgres://u:a@hush@h/db`,
		`no such file "/u:hush@h/db"`, `Server=h;Database=d;Password=hush`, `password='hu hush sh' host=h`, `postgres://h/db?password=hush&x=1`,
		`sslpassword = hush`, `mysql://u:hush@h`, `u:hush@host:5432`, "postgres://user:hush@host:5432/database", hint + ",postgres://u:hush@h/db", "postgres://user@hush@host:5432/database",
	} {
		if got := Mask(text); strings.Contains(got, "hush") || got == "" {
			t.Errorf("%q became %q", text, got)
		}
	}
	for _, text := range []string{`no such file "/data/stigmem.db"; name the node's database`, "--ttl is \"90\"", "postgres://h/db", "12:30:00", "a@b", "write " + hint + "; or " + hint} {
		if got := Mask(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}
