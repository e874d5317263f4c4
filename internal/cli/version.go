package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/store/sqlite"
)

// Set by the linker, in releases and in the Makefile.
var version, commit string

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
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output, _ := cmd.Flags().GetString("output"); output != config.OutputText && output != config.OutputJSON {
				return usageError{"--output is text or json"}
			}
			return a.runVersion()
		},
	}
}

func (a *app) runVersion() error {
	v := builtWith()
	if a.output.Form == config.OutputJSON {
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

// builtWith reads the build information of the Go toolchain, if the linker did not set the variables.
func builtWith() versions {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	found := map[string]string{}
	for _, setting := range info.Settings {
		found[setting.Key] = setting.Value
	}
	for _, module := range info.Deps {
		found[module.Path] = module.Version
	}
	known := func(values ...string) string { return cmp.Or(append(values, "unknown")...) }
	return versions{
		SchemaVersion: 1,
		Version:       known(version, info.Main.Version),
		Commit:        known(commit, found["vcs.revision"]),
		Go:            runtime.Version(),
		Platform:      runtime.GOOS + "/" + runtime.GOARCH,
		SQLite:        sqlite.Version,
		SQLiteDriver:  known(found["modernc.org/sqlite"]),
		PgxDriver:     known(found["github.com/jackc/pgx/v5"]),
	}
}
