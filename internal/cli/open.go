package cli

import (
	"context"

	"decayctl/internal/config"
	"decayctl/internal/store"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/sqlite"
)

// open opens the configured store: the one place that knows the kinds.
func (a *app) open(ctx context.Context, c config.Config, readOnly bool) (store.Store, error) {
	p := store.OpenParams{ReadOnly: readOnly, LockTimeout: c.LockTimeout, Workers: c.Workers, Pace: c.Pace, Now: a.Now}
	if c.Store.Kind == config.Postgres {
		return postgres.Open(ctx, c.Store.DSN.Reveal(), c.Store.Schema, p)
	}
	return sqlite.Open(ctx, c.Store.Path, p)
}
