// Command dist makes the files of a release other than the binary: man pages of the commands, the exit codes and the
// configuration, and completion scripts. It is no part of decayctl. `make release` runs it, through .goreleaser.yaml.
package main

import (
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"

	"decayctl/internal/cli"
)

func main() {
	var p release
	flag.StringVar(&p.version, "version", "dev", "the version that the man pages name")
	flag.StringVar(&p.date, "date", "", "the date of the man pages, as in 2026-11-30: that of the commit, so that one commit makes the same bytes")
	flag.StringVar(&p.docs, "docs", "docs", "the folder of the documents")
	flag.Parse()
	if err := p.write(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

type release struct{ version, date, docs string }

// write makes three folders: man pages, the same pages compressed for packages, and completion scripts.
func (r release) write(folder string) error {
	if folder == "" {
		return errors.New("name the folder to write to")
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	root := cli.Commands()
	pages := map[string]string{}
	for cmd := range documented(root) {
		name := pageName(cmd)
		pages[name+".1"] = r.page(name, "1", commandPage(cmd))
	}
	for _, d := range documents {
		text, err := os.ReadFile(filepath.Join(r.docs, d.file))
		if err != nil {
			return err
		}
		pages[d.page+"."+d.section] = r.page(d.page, d.section, documentPage(d, string(text)))
	}
	for name, text := range pages {
		if err := put(filepath.Join(folder, "man", name), text); err != nil {
			return err
		}
		if err := put(filepath.Join(folder, "man.gz", name+".gz"), text); err != nil {
			return err
		}
	}
	return writeScripts(root, filepath.Join(folder, "completions"))
}

// page renders one man page.
func (r release) page(name, section, markdown string) string {
	title := strings.ReplaceAll(strings.ToUpper(name), "-", `\-`)
	head := fmt.Sprintf("%% %q %q %q %q %q\n\n", title, section, r.date, "decayctl "+r.version, "decayctl")
	page := string(md2man.Render([]byte(head + markdown)))
	// An unescaped minus is rendered as a hyphen, and an option copied from the page would not work.
	return strings.NewReplacer(`\fB--`, `\fB\-\-`, `\fB-`, `\fB\-`, "--", `\-\-`).Replace(page)
}

// put writes a file, compressed if its name ends in .gz.
func put(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if filepath.Ext(path) != ".gz" {
		_, err = io.WriteString(file, text)
		return errors.Join(err, file.Close())
	}
	packed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return err
	}
	_, err = io.WriteString(packed, text)
	return errors.Join(err, packed.Close(), file.Close())
}

// writeScripts writes the completion scripts, with the names that the shells expect.
func writeScripts(root *cobra.Command, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(folder, "decayctl.bash"), true),
		root.GenZshCompletionFile(filepath.Join(folder, "_decayctl")),
		root.GenFishCompletionFile(filepath.Join(folder, "decayctl.fish"), true),
		root.GenPowerShellCompletionFileWithDesc(filepath.Join(folder, "decayctl.ps1")),
	)
}
