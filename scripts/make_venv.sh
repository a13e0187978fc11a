#!/bin/sh
# usage: make_venv.sh PYTHON DIR
#
# Make the virtual environment DIR with pip in it, or keep the one that is there.
set -eu

python=$1
dir=$2

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "There is no '$python' on this machine." \
        "Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 ..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "dpframe needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1)." \
        "Name another: make PYTHON=/path/to/python3 ..."

# An environment whose interpreter is gone, or that lost its pip half-way, is made anew below.
if "$dir/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

# Debian and Ubuntu keep `ensurepip`, which puts pip into a new environment, in a package of its own
# (python3-venv). Where it is missing, the machine's pip can install pip into the environment instead.
if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv --clear "$dir"
else
    "$python" -m venv --clear --without-pip "$dir"
    "$python" -m pip --python "$dir/bin/python" install --quiet --disable-pip-version-check pip ||
        fail "Could not put pip into $dir. Debian and Ubuntu: apt-get install python3-venv, then try again."
fi
