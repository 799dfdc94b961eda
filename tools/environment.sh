#!/usr/bin/env bash
# Installs the project, as it lies here, with one set of extras: environment.sh FOLDER EXTRA, where EXTRA may be "base".
# Makes the virtual environment first when it is missing or was left half made. PYTHON=... chooses the interpreter.
set -euo pipefail
folder=$1 extra=$2

fits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    python=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if fits "$candidate"; then python=$candidate; break; fi
    done
    if [ -z "$python" ]; then
        echo "napari-fcn needs Python 3.11 or newer with its venv module (on Debian or Ubuntu: apt-get install python3-venv);" \
            "none of these is one: ${PYTHON:-python3, python3.11 to python3.14, python}." >&2
        exit 1
    fi
    echo "Making the environment $folder with $("$python" --version)"
    "$python" -m venv "$folder"
fi

case $extra in
    base) what=. ;;
    lint) what=".[lint,pyside6]" ;;  # types are checked against a Qt binding
    *) what=".[$extra]" ;;
esac
echo "Installing napari-fcn ($extra) into $folder; the first time this takes some minutes, for PyTorch is large"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$what"
