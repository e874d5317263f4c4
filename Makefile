# What developers and CI run. `make` lists it.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null | sed 's/^v//')
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null)
# With -trimpath, like a release, so that both share the build cache.
LDFLAGS  := -X decayctl/internal/cli.version=$(or $(VERSION),dev) -X decayctl/internal/cli.commit=$(COMMIT)
FUZZTIME ?= 30s
# What to measure: sizes, stores and cases, as internal/bench knows them.
FACTS    ?= 1000000
STORES   ?= sqlite,postgres
CASES    ?= dry-run,first,nothing,nightly,undo,neighbour,node
# Extra arguments, as in: make test TESTFLAGS='-run Undo -v', make bench BENCHFLAGS='-times 3'
TESTFLAGS ?=
BENCHFLAGS ?=
# How many packages make test runs at a time: one more than there are processors, since some tests wait. Each test binary is linked
# anew, which takes 500 MB.
TEST_PACKAGES := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# The packages whose tests take longest begin first, or the last one of them would run alone.
LONGEST := ./internal/store/postgres ./internal/cli ./internal/sweep ./internal/store/sqlite
# What the random stores of make interop come from. The one that failed makes them again.
INTEROP_SEED := $(or $(INTEROP_SEED),$(shell date +%s))

# The race detector watches this project, and not SQLite and what it allocates with, which are translated from C: it
# would make SQLite many times slower. Packages with generic code of the standard library keep the detector: the linker
# would use their copies of that code for all packages, and the detector would report races that do not exist.
RACE := -race $(foreach package,sqlite/lib libc memory,-gcflags='modernc.org/$(package)=-race=false')

# Tools, pinned. goreleaser: newer ones than this want a newer Go than go.mod does.
GOLANGCI_LINT_VERSION := v2.15.0
GORELEASER_VERSION    := v2.15.0
ACTIONLINT_VERSION    := v1.7.12
CYCLONEDX_VERSION     := v1.10.0

LINT       := bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
GORELEASER := $(GO) run github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)
CYCLONEDX  := bin/cyclonedx-gomod-$(CYCLONEDX_VERSION)/cyclonedx-gomod
# goreleaser with the program that lists modules. Homebrew's cask names where the archives will be; a release sets the real places.
RELEASE     = PATH="$(CURDIR)/$(dir $(CYCLONEDX)):$$PATH" RELEASE_OWNER="$${RELEASE_OWNER:-decayctl}" \
	RELEASE_URL="$${RELEASE_URL:-https://example.org/releases/download}" $(GORELEASER) release --clean
PLATFORMS  := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# Releases are static, so everything but the race detector goes without cgo. (One setting for
# all of it also means that the SQLite driver, which takes a minute, is compiled once.)
export CGO_ENABLED = 0

.DEFAULT_GOAL := help
.PHONY: help build test test-postgres lint fmt fmt-fix vet cross demo recording bench profile soak citus interop fuzz workflows release release-check release-quick clean $(PLATFORMS)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/decayctl
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/decayctl

test: export CGO_ENABLED = 1
test: export STORETEST_NO_SKIP = 1
# Without this, each process that the tests start waits a second for races when it ends.
test: export GORACE = atexit_sleep_ms=10
test: ## run all tests with the race detector, none skipped (installs PostgreSQL, pgbouncer and Chromium on Debian)
	@bash .ci/install
	$(GO) test $(RACE) -p $(TEST_PACKAGES) -parallel 4 -timeout 60m $(TESTFLAGS) $(LONGEST) ./...

test-postgres: ## run the tests of the PostgreSQL store on PostgreSQL 14, 16, 17 and 18, from npm
	@GO='$(GO)' bash .ci/postgres $(TESTFLAGS)

lint: $(LINT) ## run the linters of .golangci.yaml
	GOLANGCI_LINT_CACHE='$(CURDIR)/bin/lint-cache' $(LINT) run

$(LINT):
	GOBIN='$(CURDIR)/bin' $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv bin/golangci-lint $@

fmt: ## check the format of the code and of go.mod
	@files=$$(gofmt -l cmd internal); \
	if [ -n "$$files" ]; then echo "not formatted (make fmt-fix):"; echo "$$files"; exit 1; fi
	$(GO) mod tidy -diff

fmt-fix: ## format the code and go.mod
	gofmt -w cmd internal
	$(GO) mod tidy

vet: ## run go vet, on the soak, interop and Citus tests too
	$(GO) vet -tags soak,interop,citus ./...

cross: $(PLATFORMS) ## build a static binary for every platform of a release

$(PLATFORMS):
	GOOS=$(@D) GOARCH=$(@F) $(GO) build -trimpath -ldflags '$(LDFLAGS)' \
		-o bin/decayctl_$(@D)_$(@F)$(if $(filter windows,$(@D)),.exe) ./cmd/decayctl

demo: build ## run the demo in a folder that is removed afterwards
	@dir=$$(mktemp -d bin/demo.XXXXXX) && trap 'rm -rf "$(CURDIR)/'"$$dir"'"' EXIT && \
	cd "$$dir" && '$(CURDIR)/bin/decayctl' demo

recording: ## record the demo and the example of a report anew, into docs/demo.svg, report.html and report.png
	$(GO) test ./internal/cli -run '^(TestRecording|TestExampleReport)$$' -count=1 -update
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1200,1340 --screenshot='$(CURDIR)/docs/report.png' 'file://$(CURDIR)/docs/report.html'

bench: build ## measure a sweep, beside a real node too, into docs/benchmarks.md (FACTS= STORES= CASES=)
	$(if $(findstring node,$(CASES)),@bash internal/interop/install bin/node || echo "going on without a node")
	$(GO) run ./internal/bench -facts $(FACTS) -stores $(STORES) -cases $(CASES) -out docs/benchmarks.md $(BENCHFLAGS)

profile: build ## measure where the time goes, for the compiler: it reads cmd/decayctl/default.pgo
	$(GO) run ./internal/bench -facts 1000000 -cases dry-run,first,nothing,nightly,undo -contestants decayctl \
		-profile cmd/decayctl/default.pgo $(BENCHFLAGS)

soak: ## run the long tests: minutes to an hour, a million facts
	@bash .ci/install
	STORETEST_NO_SKIP=1 $(GO) test -tags soak -run Soak -count=1 -timeout 60m -v ./...
	STORETEST_NO_SKIP=1 $(GO) test -run 'TestSweepDoesWhatDryRunCounts|TestScanAllIsWhole|TestColumnsAreRows|TestContract/.*/the_prefilter' -count=1 -timeout 60m \
		./internal/sweep ./internal/store/sqlite ./internal/store/postgres -rapid.checks 1000
	$(GO) test -count=1 ./internal/plan -rapid.checks 1000

citus: ## run the contract, kills, locks and query plans at a million facts on a Citus cluster, started from an installed server that has the extension
	STORETEST_NO_SKIP=1 $(GO) test -tags citus -run Citus -count=1 -timeout 60m -parallel 3 $(TESTFLAGS) ./internal/store/postgres ./internal/cli

interop: ## run decayctl and real Stigmem nodes, from PyPI, on the same stores
	@bash .ci/install python
	@bash internal/interop/install bin/node
	@echo "INTEROP_SEED=$(INTEROP_SEED)"
	INTEROP_NODE='$(CURDIR)/bin/node' INTEROP_SEED=$(INTEROP_SEED) STORETEST_NO_SKIP=1 \
		$(GO) test -tags interop -count=1 -timeout 15m $(TESTFLAGS) ./internal/interop

fuzz: ## fuzz the parsers, each for FUZZTIME=30s
	$(GO) test -run '^$$' -fuzz '^FuzzParseInstant$$' -fuzztime $(FUZZTIME) ./internal/fact
	$(GO) test -run '^$$' -fuzz '^FuzzParseTTL$$' -fuzztime $(FUZZTIME) ./internal/rule

workflows: ## check the workflows in .github, and .goreleaser.yaml
	$(GO) run github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)
	$(GORELEASER) check

release: $(CYCLONEDX) ## make the archives and packages of the tag that is checked out, in dist/; publish nothing
	$(RELEASE)

release-check: $(CYCLONEDX) ## try a release: make archives and packages in dist/, install them in empty folders, run them; publish nothing
	$(GORELEASER) check
	$(RELEASE) --snapshot
	@bash .ci/packages

release-quick: $(CYCLONEDX) ## the same for this machine alone
	@mkdir -p bin
	sed 's/goos: \[.*\]/goos: [linux]/; s/goarch: \[.*\]/goarch: ['"$$($(GO) env GOARCH)"']/' .goreleaser.yaml >bin/goreleaser-quick.yaml
	$(RELEASE) --snapshot --config bin/goreleaser-quick.yaml
	@bash .ci/packages

$(CYCLONEDX):
	GOBIN='$(CURDIR)/$(@D)' $(GO) install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)

clean: ## remove what the other targets made
	rm -rf bin dist coverage.out
