//go:build citus

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store/sample"
)

// distributed is settings for the nodes of a cluster. One connection to each node is enough for small stores, and starts quicker
// than one for each shard. Each database has a daemon, and a session that cannot start it fails.
const distributed = forgetful + `
shared_preload_libraries = 'citus'
max_prepared_transactions = 100
max_worker_processes = 32
citus.node_conninfo = 'sslmode=disable'
citus.max_adaptive_executor_pool_size = 1
citus.shard_count = 4
citus.recover_2pc_interval = '1s'
`

// Citus is a coordinator with two worker nodes.
type Citus struct {
	*Cluster
	Workers []*Cluster
}

var citusOnce = sync.OnceValues(func() (*Citus, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	if err := citusInstalled(bin); err != nil {
		return nil, err
	}
	c := &Citus{}
	for range 3 {
		node, err := keep(Launch(distributed))
		if err != nil {
			return c, err
		}
		if c.Cluster == nil {
			c.Cluster = node
		} else {
			c.Workers = append(c.Workers, node)
		}
	}
	return c, nil
})

// citusInstalled fails, and says what is missing, if the server cannot load the extension.
func citusInstalled(bin string) error {
	out, err := exec.Command(filepath.Join(bin, "pg_config"), "--sharedir").Output()
	if err != nil {
		return fmt.Errorf("pg_config in %s: %w", bin, ErrMissing)
	}
	control := filepath.Join(strings.TrimSpace(string(out)), "extension", "citus.control")
	if _, err := os.Stat(control); err != nil {
		return fmt.Errorf("the Citus extension of the PostgreSQL server in %s (%s): %w: build it from its sources against this server "+
			"(Debian: postgresql-server-dev-15, libcurl4-openssl-dev, liblz4-dev, libzstd-dev, libkrb5-dev; ./configure && make install), "+
			"or name a server that has it with %s", bin, control, ErrMissing, binFolder)
	}
	return nil
}

// StartCitus returns the cluster of this test process, and starts it if necessary. It skips the test if the extension is not
// installed.
func StartCitus(t testing.TB) *Citus {
	t.Helper()
	cluster, err := citusOnce()
	refuse(t, err)
	return cluster
}

// DistributeStatements reads the statements that the page for operators, docs/citus.md, tells them to run.
func DistributeStatements(t testing.TB, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```sql\n")
	statements, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatalf("%s has no statements", page)
	}
	return statements
}

// ConnTo is a connection to a database of one node, as superuser. It is closed when the test ends.
func (c *Cluster) ConnTo(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), socketDSN(c.Folder, c.Port, superuser, database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// NewDatabase creates a database on all nodes, with the fact store's schema and no facts on the coordinator. If distribute is not
// "", these statements are run there.
func (c *Citus) NewDatabase(t testing.TB, distribute string) *Database {
	t.Helper()
	name := c.newName("citus")
	nodes := append([]*Cluster{c.Cluster}, c.Workers...)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes {
		must(node.admin(t.Context(), superuser, "CREATE DATABASE "+name))
		must(node.admin(t.Context(), name, "CREATE EXTENSION citus"))
	}
	join := []string{fmt.Sprintf("SELECT citus_set_coordinator_host('%s', %d)", c.Folder, c.Port)}
	for _, worker := range c.Workers {
		join = append(join, fmt.Sprintf("SELECT citus_add_node('%s', %d)", worker.Folder, worker.Port))
	}
	must(c.admin(t.Context(), name, append(join, sample.PostgresDDL())...))
	if distribute != "" {
		must(c.admin(t.Context(), name, distribute))
	}
	d := &Database{URL: c.URL(name), Socket: socketDSN(c.Folder, c.Port, superuser, name), Name: name, Schema: "public", cluster: c.Cluster}
	t.Cleanup(func() {
		var all error
		for _, node := range nodes {
			all = errors.Join(all, node.admin(context.Background(), superuser, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"))
		}
		if all != nil {
			t.Error(all)
		}
	})
	return d
}
