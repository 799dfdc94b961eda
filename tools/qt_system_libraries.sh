#!/usr/bin/env bash
# Sees to it that Qt can open a window here: qt_system_libraries.sh [--virtual-screen]
# On Linux, Qt's wheels expect some libraries of the system, and tests expect the virtual screen Xvfb. What is missing is installed
# where that is allowed (root on Debian, Ubuntu and their relatives); elsewhere the one line that does it is printed.
set -euo pipefail
shopt -s inherit_errexit  # so that a check which cannot run is not taken for one that found nothing
[ "$(uname -s)" = Linux ] || exit 0

# library, and the package that brings it
libraries="
libEGL.so.1 libegl1
libEGL_mesa.so.0 libegl-mesa0
libGL.so.1 libgl1
libGLX_mesa.so.0 libglx-mesa0
libOpenGL.so.0 libopengl0
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libglib-2.0.so.0 libglib2.0-0
libgssapi_krb5.so.2 libgssapi-krb5-2
libxkbcommon.so.0 libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libX11-xcb.so.1 libx11-xcb1
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render.so.0 libxcb-render0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-shm.so.0 libxcb-shm0
libxcb-sync.so.1 libxcb-sync1
libxcb-xfixes.so.0 libxcb-xfixes0
libxcb-xinerama.so.0 libxcb-xinerama0
libxcb-xkb.so.1 libxcb-xkb1
"

missing() {  # prints the packages of what cannot be loaded or run
    .venv/bin/python -c '
import ctypes, sys
for library, package in map(str.split, sys.argv[1].split("\n")[1:-1]):
    try:
        ctypes.CDLL(library)
    except OSError:
        print(package)
' "$libraries"
    if [ "${1:-}" = --virtual-screen ] && ! command -v Xvfb >/dev/null; then echo xvfb; fi
}

packages=$(missing "$@" | xargs)
[ -n "$packages" ] || exit 0

install="apt-get install --yes --no-install-recommends $packages"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing what Qt needs of the system: $packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2 </dev/null || echo "apt-get update failed; trying with the lists that are there" >&2
    $install --quiet=2 </dev/null >/dev/null
    packages=$(missing "$@" | xargs)
    [ -n "$packages" ] || exit 0
    echo "These were installed, and what Qt needs of them is still not found: $packages." >&2
elif command -v apt-get >/dev/null; then
    echo "Qt needs libraries that are not installed. Please run this line, then try again:" >&2
    echo "    sudo $install" >&2
else
    echo "Qt needs libraries that are not installed. Please install what your system calls these Debian packages: $packages." >&2
fi
exit 1
