# The words of this project: a contributor types them, and CI types the same.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test e2e conformance lint fmt generate verify demo demo-real control-plane figures clean \
	image image-root image-test sbom reproduce advisories

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto
CACHE := $(or $(GENESYS_OAUTH_OPERATOR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/genesys-oauth-operator)

# The container image. Its program is static, and holds no path of the machine that built it: whoever builds it gets the same bytes.
IMAGE ?= genesys-oauth-operator:0.1.0
IMAGE_PROFILE ?= release
IMAGE_TARGET = $(shell rustc --print host-tuple)
IMAGE_ROOT = target/image/root

help: ## List every target
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the operator and the simulator
	$(CARGO) build --locked --bins

test: ## Run the tests that need nothing but this checkout
	$(CARGO) test --locked --all-targets --features otel
	$(CARGO) test --locked --doc --features otel

e2e: control-plane conformance image-test ## Run the end-to-end tests: the built binary, a real kube-apiserver, the real kubectl, the official Python SDK
	$(CARGO) build --locked --bins
	$(CARGO) build --locked --example demo
	tests/sdk/run.sh
	$(CARGO) test --locked --package genesys-oauth-operator-e2e

conformance: control-plane ## Run the same checks on the in-memory Kubernetes API and on the real kube-apiserver
	tests/conformance/run.sh

lint: ## Check format, lints, links of the docs, shell scripts, the dependencies, the Dockerfile, the chart, and the alerts
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- --deny warnings
	$(CARGO) clippy --locked -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --locked --workspace --all-features --no-deps --quiet
	tests/lint.sh
	tests/chart/run.sh
	tests/monitoring/run.sh

fmt: ## Format the code
	$(CARGO) fmt --all

generate: ## Write the generated files: crds/, and their copy in the chart
	$(CARGO) run --locked --quiet --package genesys-oauth-operator -- crds --directory crds
	cp crds/*.yaml charts/genesys-oauth-operator/files/crds/

verify: ## Check that the generated files are fresh
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(CARGO) run --locked --quiet --package genesys-oauth-operator -- crds --directory "$$fresh"; \
	diff --recursive --unified crds charts/genesys-oauth-operator/files/crds && diff --recursive --unified crds "$$fresh" || { echo "crds/ is not fresh: run make generate and commit the result" >&2; exit 1; }; \
	echo "crds/ is fresh"

control-plane: ## Find or make etcd, kube-apiserver and kubectl, once, outside the checkout
	@tests/control-plane/install.sh

demo: ## Show the operator at work in one process: no cluster, no organization. CONTEXT=name: on that cluster. ARGS=--help: more
	@echo "building the demo (a first build takes some minutes)"
	@$(CARGO) run --locked --quiet --example demo -- $(if $(CONTEXT),--context '$(CONTEXT)') $(ARGS)

demo-real: control-plane ## Show it on a real kube-apiserver, with the real kubectl. ARGS=--script: exit at the end
	@echo "building the operator and the simulator (a first build takes some minutes)"
	@$(CARGO) build --locked --quiet --bins
	@$(CARGO) run --locked --quiet --package genesys-oauth-operator-e2e --bin demo -- $(ARGS)

figures: control-plane ## Measure; prints `ok|short NAME VALUE GOAL` lines. FILTER=create for those of one issue
	@# All but those of create are measured in worlds and by suites, which need no release build.
	@$(if $(filter-out drift% budget% rotation% conformance% availability.day% security.canary% security.rights%,$(or $(FILTER),all)),$(CARGO) build --locked --quiet --release --bins)
	@$(CARGO) run --locked --quiet --package genesys-oauth-operator-e2e --bin figures -- $(FILTER)

image: ## Build the container image with Docker. IMAGE=name:tag
	@docker info >/dev/null 2>&1 || { echo "there is no Docker engine; make image-root makes the files of the image without one" >&2; exit 1; }
	docker build --tag $(IMAGE) .

image-root: $(CACHE)/cargo-auditable-0.7.7 ## Make the files of the image in target/image/root: a static program, certificates, and nothing else
	PATH="$</bin:$$PATH" \
	RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$(CURDIR)=/source --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo" \
	CFLAGS="-ffile-prefix-map=$(CURDIR)=/source -ffile-prefix-map=$${CARGO_HOME:-$$HOME/.cargo}=/cargo" \
	$(CARGO) auditable build --locked --profile $(IMAGE_PROFILE) --target $(IMAGE_TARGET) --target-dir target/image --bin genesys-oauth-operator --features otel
	rm -rf $(IMAGE_ROOT)
	install -D --mode=755 target/image/$(IMAGE_TARGET)/$(IMAGE_PROFILE)/genesys-oauth-operator $(IMAGE_ROOT)/genesys-oauth-operator
	install -D --mode=644 /etc/ssl/certs/ca-certificates.crt $(IMAGE_ROOT)/etc/ssl/certs/ca-certificates.crt

$(CACHE)/cargo-auditable-0.7.7:
	@echo "installing cargo-auditable into $@ (half a minute)" >&2
	$(CARGO) install --quiet --locked --root $@ cargo-auditable@0.7.7

image-test: ## Run the program of the image, built without optimization, in the image's files alone; part of make e2e
	$(MAKE) image-root IMAGE_PROFILE=image-test
	$(CARGO) build --locked --bins
	tests/image/run.sh
	tests/image/sbom.sh $(IMAGE_ROOT) target/image/sbom.cdx.json

sbom: image-root ## Write the software bill of materials of the image: target/image/sbom.cdx.json, in CycloneDX
	tests/image/sbom.sh $(IMAGE_ROOT) target/image/sbom.cdx.json

reproduce: ## Build the image's program twice, in two paths, and compare the bytes
	tests/image/reproduce.sh

advisories: ## Ask the RustSec database about the dependencies; needs github.com
	tests/dependencies.sh advisories

clean: ## Remove what was built in this checkout
	$(CARGO) clean
