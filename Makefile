# The verbs of this repository. `make test` is what continuous integration runs, and nothing else.

.PHONY: check test

# What a commit needs.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace

test: check
