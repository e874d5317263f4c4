package config

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// TestWords: a flag takes each of its words, and no other.
func TestWords(t *testing.T) {
	t.Parallel()
	closed := 0
	for _, s := range allSettings() {
		words := Words(s.flag())
		if words == nil {
			continue
		}
		closed++
		takes := func(word string) bool {
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			addFlags(flags, allSettings())
			if err := flags.Parse([]string{"--" + s.flag() + "=" + word}); err != nil {
				t.Fatal(err)
			}
			_, err := Load(Source{Flags: flags, Dir: t.TempDir()}, time.Unix(0, 0))
			return err == nil
		}
		for _, word := range words {
			if !takes(word) {
				t.Errorf("--%s does not take %s", s.flag(), word)
			}
		}
		if takes("word") {
			t.Errorf("--%s takes words that it does not list", s.flag())
		}
	}
	if closed == 0 {
		t.Error("no flag lists its words")
	}
}
