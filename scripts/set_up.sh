#!/usr/bin/env bash
# Makes .venv ready: a Python in range, uv, the locked distributions by their hashes, the project itself editable.
# Called by the Makefile when the lock, pyproject.toml or this file changed. Needs bash and Python 3.11 to 3.13.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
lock=requirements.lock

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

in_range() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }

pick_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        in_range "$PYTHON" && { echo "$PYTHON"; return; }
        fail "PYTHON=$PYTHON is not a Python that nbprod runs on. Expected: Python 3.11, 3.12 or 3.13." \
            "Found: $("$PYTHON" --version 2>&1 || true)."
    fi
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        in_range "$candidate" && { echo "$candidate"; return; }
    done
    fail "No Python that nbprod runs on was found. Expected: python3.13, python3.12, python3.11 or a python3 of these" \
        "versions on PATH. Install one, or name it: make PYTHON=/path/to/python3.12 …"
}

say() { printf '%3ds  %s\n' "$SECONDS" "$*"; }

# One distribution's lines of the lock: name==version, marker, hashes.
locked() { awk -v name="$1==" 'index($0, name) == 1 {on = 1; print; next} on && /^ / {print; next} {on = 0}' "$lock"; }

if ! in_range "$venv/bin/python"; then
    python=$(pick_python)
    say "making $venv with $("$python" --version)"
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || fail "$python cannot make virtual environments: its" \
        "modules venv and ensurepip are missing. Debian and Ubuntu keep them apart: install the package that belongs to" \
        "this Python (apt-get install python3-venv, or python3.12-venv and the like), or name another one:" \
        "make PYTHON=/path/to/python3.12 …"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
python=$venv/bin/python

wanted=$(locked uv | awk -F'[= ]+' 'NR == 1 {print $2}')
if [ "$("$venv/bin/uv" --version 2>/dev/null | awk '{print $2}')" != "$wanted" ]; then
    say "installing uv $wanted"
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null
    locked uv >"$venv/uv.lock"
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$venv/uv.lock"
fi

# Compiled now, once: otherwise each kernel compiles pandas and scikit-learn anew where nothing may write bytecode.
say "installing $(grep -c '^[a-z0-9]' "$lock") locked distributions by their hashes"
VIRTUAL_ENV=$PWD/$venv "$venv/bin/uv" pip install --quiet --compile-bytecode --require-hashes --no-deps -r "$lock"

say "installing nbprod, editable"
VIRTUAL_ENV=$PWD/$venv "$venv/bin/uv" pip install --quiet --no-deps --no-build-isolation --editable .
touch "$venv/.ready"
say "ready"
