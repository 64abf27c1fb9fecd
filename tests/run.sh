#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Sets up this machine and passes the tests: formatting, lints, unit tests, whole pipelines.
# Ends with one line "N passed, N failed" and exits with 1 if anything failed.
set -euo pipefail
cd "$(dirname "$0")/.."
. pipelines/setup.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "== formatting and lints"
cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets -- -D warnings

echo "== plugins and programs, as the pipeline tests use them"
cargo build --quiet --workspace

echo "== tests"
status=0
cargo test --workspace --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?

awk '/^test result:/ { for (i = 1; i <= NF; i++) { if ($(i) ~ /^passed/) p += $(i-1); if ($(i) ~ /^failed/) f += $(i-1) } }
     END { printf "%d passed, %d failed\n", p, f }' "$log"
exit "$status"
