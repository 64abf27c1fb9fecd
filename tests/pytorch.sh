#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Finds a Python with PyTorch for the measurements that compare with it, or makes one; to be sourced after
# pipelines/setup.sh. Sets SPLITINFER_PYTHON.

has_pytorch() { "$1" -c 'import onnx, torch' 2>/dev/null; }

setup_pytorch() {
    local python folder=$TARGET/pytorch wanted=$ROOT/crates/grad/tests/fixtures/make/requirements.txt
    for python in ${SPLITINFER_PYTHON:-} python3 "$folder/bin/python"; do
        if has_pytorch "$python"; then
            export SPLITINFER_PYTHON=$python
            return
        fi
    done
    if [ -n "${SPLITINFER_PYTHON:-}" ]; then
        fail "SPLITINFER_PYTHON names $SPLITINFER_PYTHON, which has no torch and onnx"
    fi
    say "putting PyTorch and its libraries, to compare with, into $folder: some 6 GB; SPLITINFER_PYTHON=… uses another"
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        is_debian || fail "Python's venv is needed to install PyTorch; or set SPLITINFER_PYTHON to a Python that has it"
        apt python3-venv
    fi
    python3 -m venv "$folder" && "$folder/bin/pip" --quiet install -r "$wanted" >&2 && has_pytorch "$folder/bin/python" ||
        fail "PyTorch could not be installed; delete $folder to try again, or set SPLITINFER_PYTHON to a Python that has it"
    export SPLITINFER_PYTHON=$folder/bin/python
}

setup_pytorch
