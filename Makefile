# The commands of the project. `make` lists them.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT   ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
DOCKER   ?= docker
REGISTRY ?=
TAG      ?= latest
PREFIX   ?= /usr/local
DESTDIR  ?=
PORT     ?= 8080
BENCH    ?= full
PARTS    ?=
KERNELS  ?= all
VULNDB   ?=
# The folder that packages go to, and the one of them to push.
PACKAGES ?= build/packages
PACKAGE  ?=

LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
BINARY  := build/gangway
PLUGIN  := build/plugin
GO      := go

export DOCKER VERSION

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

.PHONY: demo
demo: plugin ## show it at work: network, two containers, a published port (PORT=8080, DEMO=name)
	@scripts/deps.sh demo
	@PORT=$(PORT) scripts/demo.sh up

.PHONY: demo-clean
demo-clean: ## remove everything that the demo made
	@scripts/demo.sh down

.PHONY: check
check: export CI = true
check: ## check the style, then run the tests that need no engine, in minutes
	@scripts/deps.sh check
	@scripts/test.sh check

.PHONY: test
test: export CI = true
test: ## check the style, then run all tests, those with real engines too
	@scripts/deps.sh test
	@scripts/test.sh

.PHONY: test-kernels
test-kernels: export CI = true
test-kernels: export GANGWAY_TEST_KERNELS = $(KERNELS)
test-kernels: ## run the kernel tests on Debian's kernels in qemu (KERNELS="5.10 6.1" for some)
	@scripts/deps.sh kernels
	$(GO) test -timeout 6h -count=1 -v ./integration/kernels

.PHONY: test-packages
test-packages: export CI = true
test-packages: export GANGWAY_TEST_PACKAGES = 1
test-packages: ## build the packages twice, install, upgrade and remove them on Debian 12 and 13
	@scripts/deps.sh test-packages
	$(GO) test -timeout 1h -count=1 -v ./integration/packaging -run 'TestPackages'

.PHONY: test-fresh
test-fresh: export CI = true
test-fresh: export GANGWAY_TEST_FRESH = 1
test-fresh: ## run make demo and make check on fresh machines of Debian 12 and 13
	@scripts/deps.sh test
	$(GO) test -timeout 4h -count=1 -v ./integration/packaging -run 'TestFresh'

.PHONY: build
build: ## build the program: build/gangway
	@scripts/deps.sh build
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) .

.PHONY: plugin
plugin: build ## make the managed plugin's folder: build/plugin (needs no registry)
	@scripts/deps.sh plugin
	@scripts/plugin.sh $(BINARY) $(PLUGIN)

.PHONY: install
install: plugin ## create and enable the plugin gangway:latest in the local engine, install the command
	@scripts/install-plugin.sh $(PLUGIN)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/command.sh install $(BINARY)

.PHONY: upgrade
upgrade: plugin ## put this build in the place of the plugin, with networks and containers running
	@scripts/deps.sh upgrade
	@scripts/install-plugin.sh --upgrade $(PLUGIN)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/command.sh install $(BINARY)

.PHONY: packages
packages: ## build deb, rpm, tar.gz and the plugin for amd64 and arm64: build/packages
	@scripts/deps.sh packages
	@rm -rf '$(PACKAGES)'
	@$(if $(filter file,$(origin VERSION)),unset VERSION;) scripts/packages.sh '$(PACKAGES)'

.PHONY: push
push: $(if $(PACKAGE),,plugin) ## push the plugin as REGISTRY/gangway:TAG (PACKAGE=file.tar.gz for one of make packages)
	@scripts/push.sh '$(or $(PACKAGE),$(PLUGIN))' '$(REGISTRY)' '$(TAG)'

.PHONY: install-daemon
install-daemon: build ## install and start the plain daemon, a systemd service (-d gangway)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/daemon.sh install $(BINARY)

.PHONY: uninstall
uninstall: ## remove the plugin and the daemon from this host (state is kept)
	@scripts/install-plugin.sh --remove
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/daemon.sh uninstall
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/command.sh uninstall

.PHONY: lint
lint: ## check format and style
	@scripts/deps.sh lint
	@scripts/lint.sh

.PHONY: vuln
vuln: ## look for known vulnerabilities in what is called (VULNDB=file:///... for a copy)
	@scripts/deps.sh vuln
	@VULNDB='$(VULNDB)' scripts/vuln.sh

.PHONY: bench
bench: ## measure beside the built-in driver, 40 minutes; BENCH=quick for 5 minutes
	@scripts/deps.sh bench
	@BENCH='$(BENCH)' PARTS='$(PARTS)' scripts/bench.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf build integration/logs
