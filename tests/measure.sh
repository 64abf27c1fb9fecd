#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# measure.sh NAME [--quick]: prints the table of docs/measurements/NAME.md and, as its last line, its figures as JSON.
# Without NAME: the names there are.
set -euo pipefail
cd "$(dirname "$0")/.."

names=$(cd tests/src/bin && ls measure-*.rs | sed 's/^measure-//; s/\.rs$//')
name=${1:-}
if [ -z "$name" ] || ! grep -qx -- "$name" <<<"$names"; then
    [ -z "$name" ] || echo "there is no measurement '$name'" >&2
    echo "measurements: $(tr '\n' ' ' <<<"$names")"
    [ -z "$name" ]
    exit
fi
shift
. pipelines/setup.sh >&2
case $name in gradients | training-step) . tests/pytorch.sh ;; esac
cargo build --quiet --release -p gst-plugin-splitinfer -p gst-plugin-adapt -p splitinfer-tests >&2
exec target/release/"measure-$name" "$@"
