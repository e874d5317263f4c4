package cli

import (
	"context"

	"decayctl/internal/config"
	"decayctl/internal/store"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/sqlite"
)

// kinds opens a store of each kind. It is the only place that knows all kinds.
var kinds = map[string]func(context.Context, config.Store, store.OpenParams) (store.Store, error){
	config.SQLite: func(ctx context.Context, c config.Store, p store.OpenParams) (store.Store, error) {
		return sqlite.Open(ctx, c.Path, p)
	},
	config.Postgres: func(ctx context.Context, c config.Store, p store.OpenParams) (store.Store, error) {
		return postgres.Open(ctx, c.DSN.Reveal(), c.Schema, p)
	},
}

// open opens a store. p may leave out the lock timeout and the clock.
func (a *app) open(ctx context.Context, at config.Store, p store.OpenParams) (store.Store, error) {
	p.LockTimeout, p.Now = at.LockTimeout, a.Now
	return kinds[at.Kind](ctx, at, p)
}
