#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Starts a server that completes the inference of any number of edges. Arguments are properties of splitinfer-server:
#
#   pipelines/server.sh                                        edges on this machine, port 5050
#   pipelines/server.sh address=0.0.0.0 auth-token=SECRET      edges anywhere that know the token
#
# It prints the fingerprint of its certificate, which edges elsewhere need. Ctrl-C stops it.
set -euo pipefail

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    sed -n '4,9s/^# \{0,1\}//p' "$0"
    exit
fi
. "$(dirname "$0")/setup.sh"
build_plugins

port=5050
for argument in "$@"; do
    case $argument in
    port=*) port= ;;
    *=*) ;;
    *) fail "$argument is not NAME=VALUE; gst-inspect-1.0 splitinfer-server lists the names" ;;
    esac
done
exec gst-launch-1.0 --no-fault splitinfer-server ${port:+port=$port} "$@"
