#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Sets up this machine, builds, and plays a video through one model on two machines in the small: an edge and a server,
# each a process of its own. Leaves the annotated video, one line of JSON a frame, and a summary.
#
#   pipelines/demo.sh                        the street and the model that come with the project
#   pipelines/demo.sh --video FILE --model FILE.onnx
#   pipelines/demo.sh --network lte          the two with a mobile network between them, or another of pipelines/networks
#   pipelines/demo.sh --help                 all options
#
# Without --split it changes the split while the video plays, through all there are, and the summary compares them. With
# --network the element chooses the split itself, and a plot shows when. A person in a room is then the default, and the
# edge is to work as little as the budget allows (objective=edge-load): this machine could keep every frame.
# With --server HOST:PORT no server is started here. Ctrl-C ends the video properly; a second one at once.
set -euo pipefail

. "$(dirname "$0")/setup.sh"

networks() { (cd "$ROOT/pipelines/networks" && ls -- *.trace | sed 's/\.trace$//' | tr '\n' ' '); }

# The trace of that name, or the first whose name begins so.
find_network() {
    local name=$1 file
    for file in "$name" "$ROOT/pipelines/networks/$name.trace" "$ROOT/pipelines/networks/$name"*.trace; do
        if [ -f "$file" ]; then
            echo "$file"
            return
        fi
    done
    fail "there is no network '$name'; there are $(networks)- or give the file of a trace"
}

own_server=1
tour=--tour
scene="--scene=walker"
trace=
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        printf 'With --network NAME there is a network between edge and server: %s\n\n' "$(networks)"
        exec "$PYTHON" "$ROOT/pipelines/play.py" --help
        ;;
    --network=*) trace=$(find_network "${1#*=}") ;;
    --network)
        [ -n "${2:-}" ] || fail "--network needs a name: $(networks)"
        trace=$(find_network "$2")
        shift
        ;;
    *)
        case $1 in
        --server | --server=*) own_server= ;;
        --split | --split=*) tour= ;;
        --video* | --camera* | --rtsp* | --scene*) scene= ;;
        esac
        arguments+=("$1")
        ;;
    esac
    shift
done
if [ -n "$trace" ] && [ -z "$own_server" ]; then
    fail "--network is for the server that is started here; with --server the network is the one you have"
fi
build_plugins
if [ -n "$trace" ]; then
    say "building the network and what draws the plot"
    (cd "$ROOT" && cargo build --release -p splitinfer-tools --bin splitinfer-network --bin splitinfer-splits) >&2
    export SPLITINFER_SPLITS=$TARGET/release/splitinfer-splits
fi

# The processes get sessions of their own, so that Ctrl-C reaches this script only and it decides who stops when.
# And should it be killed itself, they end too.
start() { setsid setpriv --pdeathsig TERM "$@" & }

server=
network=
player=
log=$(mktemp)
diary=$(mktemp)

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
    end "$network"
    end "$server"
    rm -f "$log" "$diary"
}
trap clean_up EXIT
trap '[ -z "$player" ] || kill -INT "$player" 2>/dev/null || true' INT TERM

# Two ports that nobody uses just now.
free_ports() {
    "$PYTHON" -c '
import socket
sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))'
}

# Whether what was just started still runs; it may have found something wrong.
running() {
    sleep 1
    if ! kill -0 "$1" 2>/dev/null; then
        cat "$log" >&2
        fail "the $2 did not start"
    fi
}

if [ -n "$own_server" ]; then
    read -r port monitor_port < <(free_ports)
    # With a network the server is another machine, as far as addresses go.
    address=127.0.0.1
    [ -z "$trace" ] || address=127.0.0.2
    start gst-launch-1.0 --no-fault splitinfer-server address="$address" port="$port" monitor-port="$monitor_port" \
        accept-models=true >"$log" 2>&1
    server=$!
    running "$server" server
    arguments=(--server "127.0.0.1:$port" "${arguments[@]}")
fi
if [ -n "$trace" ]; then
    say "the network: $trace"
    sed -n 's/^# *//p' "$trace" >&2
    start "$TARGET/release/splitinfer-network" "$trace" --forward "127.0.0.1:$port=$address:$port" \
        --forward "127.0.0.1:$monitor_port=$address:$monitor_port" >"$diary" 2>>"$log"
    network=$!
    running "$network" network
    tour=
    arguments=(--set objective=edge-load --network "$diary" ${scene:+"$scene"} "${arguments[@]}")
fi

start "$PYTHON" "$ROOT/pipelines/play.py" ${tour:+"$tour"} "${arguments[@]}"
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
