#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Sets up this machine, builds, and shows a model that learns the scene it hangs in: a camera by day, then it becomes night,
# the boxes go wrong, the gate opens, the teacher labels, the student trains and changes, all while the video plays.
# Leaves the annotated video, one with and without adaptation side by side, a plot over time, and a table.
#
#   pipelines/adapt.sh                        a person in a room, and a pose model
#   pipelines/adapt.sh --scene traffic        a street
#   pipelines/adapt.sh --student FILE.onnx --teacher FILE.onnx VIDEO
#   pipelines/adapt.sh --help                 all options
#
# Ctrl-C ends the video properly and still writes what there is; a second one ends at once.
set -euo pipefail

. "$(dirname "$0")/setup.sh"

for argument in "$@"; do
    case $argument in
    -h | --help) exec "$PYTHON" "$ROOT/pipelines/adapt.py" "$@" ;;
    esac
done
build_plugins
say "building the tool that draws the plot"
(cd "$ROOT" && cargo build --release -p splitinfer-tools --bin splitinfer-timeline) >&2
export SPLITINFER_TIMELINE=$TARGET/release/splitinfer-timeline
exec "$PYTHON" "$ROOT/pipelines/adapt.py" "$@"
