#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Runs the edge on an RTSP camera, over whichever of UDP and TCP the camera gives. Further options are those of edge.sh:
#
#   pipelines/rtsp.sh rtsp://camera/stream --show
set -euo pipefail

case ${1:-} in
rtsp://* | rtspt://* | rtspu://* | rtsps://*) ;;
*)
    echo "usage: $0 rtsp://HOST/STREAM [options of edge.sh]" >&2
    exit 2
    ;;
esac
exec "$(dirname "$0")/edge.sh" --rtsp "$@"
