#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Runs the edge alone: a video, camera or RTSP stream through the model, with a server somewhere else or without one.
# Shows the live picture with --show. All options: pipelines/edge.sh --help
#
#   pipelines/edge.sh --camera /dev/video0 --show
#   pipelines/edge.sh --video street.mp4 --server 192.0.2.7:5050 --set server-fingerprint=SHA256 --set auth-token=SECRET
set -euo pipefail

. "$(dirname "$0")/setup.sh"
build_plugins
exec "$PYTHON" "$ROOT/pipelines/play.py" "$@"
