#!/usr/bin/env bash
# An environment for `gaitkeeper weights export-pose`. Usage: scripts/mmpose.sh [FOLDER]
# mmpose asks for chumpy, which no longer builds and which no network here needs: it is installed without what it asks for,
# and the rest is the extra `mmpose`. xtcocotools is built from source, against the numpy that is there.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PYTHON:=python3}" "${TORCH_INDEX:=}"
VENV=${1:-.venv-mmpose}
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0 torchvision==0.28.0
pip install 'setuptools>=78.1.1,<81' wheel cython 'numpy<3'
pip install -c constraints.txt -e '.[mmpose]'
pip install --no-deps --no-build-isolation --no-binary xtcocotools xtcocotools==1.14.3
pip install --no-deps mmpose==1.3.2
