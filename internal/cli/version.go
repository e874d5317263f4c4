package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"decayctl/internal/store/sqlite"
)

// version is set by the linker in releases.
var version = ""

type versions struct {
	SchemaVersion int    `json:"schema_version"`
	Version       string `json:"version"`
	Commit        string `json:"commit"`
	Go            string `json:"go"`
	Platform      string `json:"platform"`
	SQLite        string `json:"sqlite"`
	SQLiteDriver  string `json:"sqlite_driver"`
	PgxDriver     string `json:"pgx_driver"`
}

func (a *app) newVersionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the versions of decayctl and of what it is built with",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return a.runVersion() },
	}
}

func (a *app) runVersion() error {
	v := builtWith()
	if a.json {
		encoder := json.NewEncoder(a.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
	_, err := fmt.Fprintf(a.Stdout, `decayctl %s
commit   %s
go       %s %s
sqlite   %s (modernc.org/sqlite %s)
pgx      %s
`, v.Version, v.Commit, v.Go, v.Platform, v.SQLite, v.SQLiteDriver, v.PgxDriver)
	return err
}

// builtWith reads what the Go toolchain wrote into the binary.
func builtWith() versions {
	v := versions{
		SchemaVersion: 1, Version: version, Commit: "unknown", Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, SQLite: sqlite.Version,
		SQLiteDriver: "unknown", PgxDriver: "unknown",
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			v.Commit = setting.Value
		}
	}
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "vcs.modified", Value: "true"}) {
		v.Commit += " (modified)"
	}
	for _, module := range info.Deps {
		switch module.Path {
		case "modernc.org/sqlite":
			v.SQLiteDriver = module.Version
		case "github.com/jackc/pgx/v5":
			v.PgxDriver = module.Version
		}
	}
	return v
}
