#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Makes this machine ready to build and run the project: looks for each thing that is needed, and on Debian 12 or 13
# installs what is missing. Quick when nothing is. Run it, or source it to have its environment too:
#
#   PATH            with cargo on it
#   ORT_DYLIB_PATH  ONNX Runtime's library, where it is not the system's
#   PYTHON          a Python that can use GStreamer
#
# and `build_plugins`, which builds the plugins in release mode and sets GST_PLUGIN_PATH.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
RUST_NEEDED=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
GST_NEEDED=1.22
# Any ONNX Runtime from this version on has the functions that are called.
ORT_NEEDED=1.17

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

# Whether version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# --- packages of the system -------------------------------------------------------------------------------------------

has_module() { pkg-config --atleast-version="$GST_NEEDED" "$1" 2>/dev/null; }
has_element() { gst-inspect-1.0 --exists "$1" 2>/dev/null; }

# The first Python that has GStreamer's bindings; a virtual environment on the PATH usually lacks them.
find_python() {
    local python
    for python in ${PYTHON:-} python3 /usr/bin/python3; do
        if "$python" -c "import gi; gi.require_version('$1', '1.0')" 2>/dev/null; then
            PYTHON=$python
            return
        fi
    done
    return 1
}

MISSING=()
# need CHECK PACKAGE WHY: notes Debian's PACKAGE, needed for WHY, where CHECK fails.
need() {
    if ! eval "$1"; then
        say "missing: $2 ($3)"
        MISSING+=("$2")
    fi
}

find_missing() {
    MISSING=()
    need 'command -v cc >/dev/null' build-essential "C compiler, for parts of the Rust libraries"
    need 'command -v pkg-config >/dev/null' pkg-config "to find GStreamer when building"
    need 'has_module gstreamer-check-1.0' libgstreamer1.0-dev "GStreamer >= $GST_NEEDED, to build"
    need 'has_module gstreamer-app-1.0' libgstreamer-plugins-base1.0-dev "GStreamer's video library, to build"
    need 'command -v gst-launch-1.0 >/dev/null' gstreamer1.0-tools "gst-launch-1.0, gst-inspect-1.0"
    need 'has_element videoconvert' gstreamer1.0-plugins-base "conversion, decodebin"
    need 'has_element rtspsrc' gstreamer1.0-plugins-good "cameras, RTSP, MP4"
    need 'has_element h264parse' gstreamer1.0-plugins-bad "H.264 streams"
    need 'has_element x264enc' gstreamer1.0-plugins-ugly "H.264 encoder: pictures to the server, and the annotated video"
    need 'has_element avdec_h264' gstreamer1.0-libav "H.264 decoder"
    need 'find_python Gst' "python3-gi gir1.2-gstreamer-1.0" "GStreamer in Python"
    need 'find_python GstApp' gir1.2-gst-plugins-base-1.0 "GStreamer's appsink in Python"
    need 'find_python GstRtspServer' gir1.2-gst-rtsp-server-1.0 "an RTSP server, for the tests"
    need '[ -x "$(PATH=$PATH:/usr/sbin:/sbin command -v tc)" ]' iproute2 "networks of their own, for the tests"
}

is_debian() { [ -r /etc/os-release ] && (. /etc/os-release && [[ " $ID ${ID_LIKE:-} " == *" debian "* ]]); }

# apt-get as root, without questions. The list of packages is fetched once, and only when something is to be installed.
apt() {
    local root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "not root, and there is no sudo; as root: apt-get install $*"
        root=(sudo)
    fi
    if [ -z "${APT_UPDATED:-}" ]; then
        "${root[@]}" apt-get update -qq >&2
        APT_UPDATED=1
    fi
    say "apt-get install $*"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "$@" >&2
}

setup_packages() {
    find_missing
    [ ${#MISSING[@]} = 0 ] && return
    if ! is_debian; then
        fail "this is not Debian: install what the list above names (Debian's package names), then run this again"
    fi
    # shellcheck disable=SC2068 # one entry may name two packages
    apt ${MISSING[@]}
    # GStreamer looks for new plugins when it runs next; so does this.
    find_missing
    [ ${#MISSING[@]} = 0 ] || fail "still missing after installing: ${MISSING[*]}; Debian 12 or newer has what is needed"
}

# --- Rust -------------------------------------------------------------------------------------------------------------

setup_rust() {
    command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
    export PATH
    local how="get it from https://rustup.rs:  curl https://sh.rustup.rs -sSf | sh   (Debian's own is too old)"
    command -v cargo >/dev/null || fail "Rust >= $RUST_NEEDED is needed and there is no cargo; $how"
    local version
    version=$(cd "$ROOT" && rustc --version | cut -d ' ' -f 2)
    at_least "$version" "$RUST_NEEDED" ||
        fail "Rust >= $RUST_NEEDED is needed, this is $version; rustup update stable, or $how"
}

# --- ONNX Runtime -----------------------------------------------------------------------------------------------------

# The system's library, unless it is as Debian 13 builds it: linked with libonnx, so that every schema is registered twice
# and each start fills stderr with hundreds of lines about that.
ort_of_system() {
    local library
    library=$(ldconfig -p 2>/dev/null | sed -n 's/.*libonnxruntime\.so.* => //p' | head -n 1)
    [ -n "$library" ] || return 1
    if [[ $(ldd "$library" 2>/dev/null) == *libonnx.so* ]]; then
        say "the system's ONNX Runtime ($library) complains of itself at each start; another one is used"
        return 1
    fi
}

# The library that an earlier run put beside the build.
ort_beside_build() { compgen -G "$TARGET/onnxruntime/libonnxruntime.so*" | sort -V | tail -n 1; }

# The wheel of the Python package contains the library; nothing is installed from it.
ort_from_wheel() {
    say "getting ONNX Runtime's library from the Python package onnxruntime, into $TARGET/onnxruntime"
    if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
        is_debian || fail "Python's pip is needed to download ONNX Runtime; or set ORT_DYLIB_PATH to its library"
        apt python3-pip
    fi
    local download
    download=$(mktemp -d)
    "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$download" "onnxruntime>=$ORT_NEEDED" >&2 ||
        fail "ONNX Runtime could not be downloaded; set ORT_DYLIB_PATH to its library (libonnxruntime.so)"
    mkdir -p "$TARGET/onnxruntime"
    "$PYTHON" - "$download" "$TARGET/onnxruntime" <<'PYTHON'
import pathlib, re, sys, zipfile

source, target = map(pathlib.Path, sys.argv[1:])
for wheel in source.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            file = pathlib.PurePosixPath(name).name
            if re.fullmatch(r"libonnxruntime\.so(\.[0-9]+)*|LICENSE|ThirdPartyNotices\.txt", file):
                partial = target / (file + ".part")
                partial.write_bytes(archive.read(name))
                partial.rename(target / file)
PYTHON
    rm -r "$download"
    [ -n "$(ort_beside_build)" ] || fail "the package onnxruntime for this machine holds no libonnxruntime.so"
}

setup_ort() {
    if [ -n "${ORT_DYLIB_PATH:-}" ]; then
        [ -e "$ORT_DYLIB_PATH" ] || fail "ORT_DYLIB_PATH names $ORT_DYLIB_PATH, which does not exist"
        return
    fi
    ort_of_system && return
    [ -n "$(ort_beside_build)" ] || ort_from_wheel
    ORT_DYLIB_PATH=$(ort_beside_build)
    export ORT_DYLIB_PATH
}

# --- the plugins ------------------------------------------------------------------------------------------------------

# Builds in release mode. The plugins get a folder of their own: GStreamer looks through all that is below its path, and
# below target/release that would be every library of every dependency.
build_plugins() {
    say "building the plugins (the first time takes minutes)"
    (cd "$ROOT" && cargo build --release -p gst-plugin-splitinfer -p gst-plugin-adapt) >&2
    local folder=$TARGET/gstreamer-1.0 plugin
    mkdir -p "$folder"
    for plugin in "$TARGET"/release/libgst{splitinfer,adapt}.so; do
        if [ -e "$plugin" ] && ! cmp -s "$plugin" "$folder/${plugin##*/}"; then
            cp "$plugin" "$folder/.new" && mv "$folder/.new" "$folder/${plugin##*/}"
        fi
    done
    export GST_PLUGIN_PATH=$folder${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
}

setup_packages
export PYTHON
setup_rust
setup_ort
