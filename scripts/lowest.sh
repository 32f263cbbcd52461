#!/usr/bin/env bash
# Runs the fast tests with the lowest direct dependencies that pyproject.toml allows, in a virtual environment that
# is thrown away. Keeps the lower bounds honest; not part of `make check`, because it installs everything again.
set -eu
cd "$(dirname "$0")/.."
uv=$PWD/.venv/bin/uv
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$uv" venv --quiet --python "$PWD/.venv/bin/python" "$folder"
export VIRTUAL_ENV=$folder
"$uv" pip install --quiet --resolution lowest-direct --all-extras --group dev --requirements pyproject.toml
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
"$uv" pip list
"$folder/bin/python" -m pytest -m "not prefect and not slow and not torture" "$@"
