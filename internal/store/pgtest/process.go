package pgtest

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

//go:embed cluster.sh
var clusterScript string

//go:embed bouncer.sh
var bouncerScript string

// process is a server that a shell script runs. The script ends the server when this process ends.
type process struct {
	folder  string
	account *account
	shell   *exec.Cmd
	stdin   io.WriteCloser
	replies <-chan string

	mu sync.Mutex // one command at a time
}

// launch starts a script with its own folder and one argument.
func launch(script, argument string) (p *process, err error) {
	who, err := serverAccount()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(who.temp(), "pgtest-")
	if err != nil {
		return nil, err
	}
	p = &process{folder: folder, account: who}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	// Other users may only pass through the folder, to the socket.
	if err := errors.Join(os.Chmod(folder, 0o711), who.own(folder)); err != nil {
		return nil, err
	}
	p.shell = exec.Command("/bin/sh", "-c", script, "sh", folder, argument)
	p.shell.Dir = folder
	p.shell.SysProcAttr = who.attributes()
	if p.stdin, err = p.shell.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.shell.Start(); err != nil {
		return nil, err
	}
	replies := make(chan string)
	go func() {
		defer close(replies)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			replies <- lines.Text()
		}
	}()
	p.replies = replies
	return p, nil
}

// put creates a file in the folder that the server can read.
func (p *process) put(name, content string) error {
	path := filepath.Join(p.folder, name)
	return errors.Join(os.WriteFile(path, []byte(content), 0o600), p.account.own(path))
}

// tell sends a command to the script and waits until it is done.
func (p *process) tell(action, argument string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintln(p.stdin, action, argument); err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	select {
	case reply := <-p.replies:
		if reply == "ok" {
			return nil
		}
		return fmt.Errorf("%s %s failed; the log of %s ends with:\n%s", action, argument, p.folder, p.lastLog())
	case <-time.After(patience):
		return fmt.Errorf("%s %s takes longer than %v", action, argument, patience)
	}
}

func (p *process) lastLog() string {
	text, err := os.ReadFile(filepath.Join(p.folder, "log"))
	if err != nil {
		return err.Error()
	}
	const enough = 2000
	return strings.ToValidUTF8(string(text[max(0, len(text)-enough):]), "?")
}

// end stops the server, removes its folder and waits for both.
func (p *process) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.stdin.Close(), p.shell.Wait())
}
