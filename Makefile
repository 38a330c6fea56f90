# What to do here: make help

BIN := bin
PROOF := services/cmd/proof
BENCHTIME := 1s
DURATION := 10m
SEED :=
BENCH :=
RATE := 500
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run both services in one process, in memory; needs only Go
	@go build -o $(BIN)/ ./services/cmd/orderflow && exec $(BIN)/orderflow

.PHONY: build
build: ## Build the three executables into bin/
	go build -trimpath -o $(BIN)/ ./services/cmd/order ./services/cmd/notification ./services/cmd/orderflow

.PHONY: test
test: ## Run every test, with the race detector, on real servers (it brings them up)
	.ci/test

.PHONY: test-oldest
test-oldest: ## Test the RabbitMQ adapter on RabbitMQ 3.10, where Debian's packages can bring it up
	.ci/test-oldest

.PHONY: browser
browser: ## Test the operators' page in Chromium, on the real program; leave screenshots in the cache
	.ci/browser

.PHONY: bench
bench: ## Measure the whole system on real servers, compare three other ways, print tables: BENCH=--quick
	.ci/try bench $(BENCH)

.PHONY: bench-go
bench-go: ## Run every Go benchmark, on real servers (it brings them up): BENCHTIME=1s
	.ci/test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -p 1

.PHONY: chaos
chaos: ## Kill, cut and restart every part under load, account for each order: DURATION=10m SEED=…
	.ci/try chaos --duration $(DURATION) $(if $(SEED),--seed $(SEED))

.PHONY: chaos-embedded
chaos-embedded: RATE := 300
chaos-embedded: ## Kill the process that keeps its data in a file, at random and at each boundary, account for each order; needs only Go
	.ci/try chaos --scenario embedded --duration $(DURATION) --rate $(RATE) $(if $(SEED),--seed $(SEED))

.PHONY: outage
outage: ## Stop the broker for 30 s under load; the backlog must be empty 30 s after its return: RATE=500
	.ci/try chaos --scenario broker-outage --duration 1m --rate $(RATE)

.PHONY: receivers
receivers: RATE := 50
receivers: ## Kill the mail server, then the webhooks' receiver, for a minute each under load; count what arrives, and how fast: RATE=50
	.ci/try chaos --scenario receivers --rate $(RATE)

.PHONY: check
check: ## Check form, generated files, imports, go.mod of both modules, the API descriptions and the alert rules
	@test -z "$$(gofmt -l .)" || { echo 'gofmt would change:'; gofmt -l .; exit 1; }
	go vet ./...
	go vet -C $(PROOF) ./...
	go run $(STATICCHECK) ./...
	go run -C $(PROOF) $(STATICCHECK) ./...
	go mod tidy -diff
	go mod tidy -C $(PROOF) -diff
	go test -run 'TestImports|TestIsAllowed' .
	.ci/generated
	.ci/descriptions
	.ci/rules

.PHONY: generate
generate: ## Regenerate the generated files
	go generate ./...

.PHONY: services
services: ## Bring up MongoDB and RabbitMQ for the tests, and print their URLs
	.ci/services up

.PHONY: services-down
services-down: ## Take down the servers that make services or make test brought up
	.ci/services down

.PHONY: clean
clean: ## Remove the built executables
	rm -rf $(BIN)
