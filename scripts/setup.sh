#!/usr/bin/env bash
# Make the virtual environment: torch first (a pinned build, or the registry's newest would drag in CUDA), then the rest,
# then the default perception weights. Debian's packages that Python wheels need are installed where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PYTHON:=python3}" "${VENV:=.venv}" "${TORCH_INDEX:=}"

need() { # need PACKAGE TEST...: install a Debian package where the test fails
    local package=$1
    shift
    if "$@" >/dev/null 2>&1; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "Missing: $package. Install it first, e.g. sudo apt-get install $package" >&2
        exit 1
    fi
    echo "installing Debian's $package"
    local install=(apt-get install -y -qq --no-install-recommends "$package")
    "${install[@]}" >/dev/null 2>&1 || { apt-get update -qq && "${install[@]}" >/dev/null; }
}

want() { # want PACKAGE TEST...: as need, but only said where it cannot be installed
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && need "$@"; then return; fi
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || echo "Missing: $package. Tests of what it is for will be skipped." >&2
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (PYTHON=...)." >&2; exit 1; }
need "python3-venv" "$PYTHON" -c "import ensurepip"
# opencv-python links these.
need libgl1 sh -c 'ldconfig -p | grep -q libGL.so.1'
need libglib2.0-0 sh -c 'ldconfig -p | grep -q libglib-2.0.so.0'
# The tests start Redis servers of their own; none is to run as a service (RUNLEVEL=1).
RUNLEVEL=1 want redis-server command -v redis-server
# The tests try the containers' proxy; it is not to run as a service, either.
RUNLEVEL=1 want nginx-light command -v nginx
# The tests try the alert rules and the dashboard; it is not to run as a service, either.
RUNLEVEL=1 want prometheus command -v promtool
# The tests tell a real MQTT broker; it is not to run as a service, either.
RUNLEVEL=1 want mosquitto sh -c 'command -v mosquitto || command -v /usr/sbin/mosquitto'
# The tests watch real cameras: GStreamer's RTSP server, run by the system's Python.
want python3-gi /usr/bin/python3 -c "import gi"
want gir1.2-gst-rtsp-server-1.0 /usr/bin/python3 -c "import gi; gi.require_version('GstRtspServer', '1.0')"
want gstreamer1.0-plugins-good sh -c 'find /usr/lib -name libgstisomp4.so | grep -q .'
want gstreamer1.0-plugins-bad sh -c 'find /usr/lib -name libgstvideoparsersbad.so | grep -q .'
# The tests use the page as people do.
want chromium command -v chromium

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
echo "installing torch"
pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0
echo "installing gaitkeeper and what it needs"
pip install -c constraints.txt -e '.[cpu,redis,ray,train,dev]'
# The extra "bodies" without warp-lang, which Anny asks for and nothing here uses.
pip install -c constraints.txt numba roma trimesh
pip install -c constraints.txt --no-deps anny
"$VENV/bin/gaitkeeper" weights pull
