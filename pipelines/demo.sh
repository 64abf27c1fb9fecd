#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Sets up this machine, builds, and plays a video through one model on two machines in the small: an edge and a server,
# each a process of its own. Leaves the annotated video, one line of JSON a frame, and a summary.
#
#   pipelines/demo.sh                        the street and the model that come with the project
#   pipelines/demo.sh --video FILE --model FILE.onnx
#   pipelines/demo.sh --help                 all options
#
# Without --split it changes the split while the video plays, through all there are, and the summary compares them.
# With --server HOST:PORT no server is started here. Ctrl-C ends the video properly; a second one at once.
set -euo pipefail

. "$(dirname "$0")/setup.sh"

own_server=1
tour=--tour
for argument in "$@"; do
    case $argument in
    --server | --server=*) own_server= ;;
    --split | --split=*) tour= ;;
    -h | --help) exec "$PYTHON" "$ROOT/pipelines/play.py" "$@" ;;
    esac
done
build_plugins

# Both processes get sessions of their own, so that Ctrl-C reaches this script only and it decides who stops when.
# And should it be killed itself, they end too.
start() { setsid setpriv --pdeathsig TERM "$@" & }

server=
player=
log=$(mktemp)

# Gives a process two seconds to end by itself.
end() {
    [ -n "$1" ] || return 0
    kill -INT "$1" 2>/dev/null || return 0
    for _ in {1..20}; do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
}
clean_up() {
    end "$player"
    end "$server"
    rm -f "$log"
}
trap clean_up EXIT
trap '[ -z "$player" ] || kill -INT "$player" 2>/dev/null || true' INT TERM

if [ -n "$own_server" ]; then
    port=$("$PYTHON" -c 'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    start gst-launch-1.0 --no-fault splitinfer-server port="$port" accept-models=true >"$log" 2>&1
    server=$!
    set -- --server "127.0.0.1:$port" "$@"
    sleep 1
    if ! kill -0 "$server" 2>/dev/null; then
        cat "$log" >&2
        fail "the server did not start"
    fi
fi

start "$PYTHON" "$ROOT/pipelines/play.py" ${tour:+"$tour"} "$@"
player=$!
while true; do
    wait "$player" && status=0 || status=$?
    # A signal interrupts the wait, not the player.
    kill -0 "$player" 2>/dev/null || break
done
player=
if [ "$status" != 0 ] && [ -s "$log" ]; then
    say "the server said:"
    cat "$log" >&2
fi
exit "$status"
