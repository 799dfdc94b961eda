#!/usr/bin/env bash
# Runs a command on a screen of its own that nobody sees, drawn in software: virtual_screen.sh COMMAND ARGUMENT...
# The server chooses a free display number itself, so any number of these can run side by side.
set -euo pipefail
[ "$(uname -s)" = Linux ] || exec "$@"

folder=$(mktemp -d)
mkfifo "$folder/number"
server=
finish() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap finish EXIT

# In a session of its own, for Ctrl-C is meant for the command, which still needs its screen to end well.
setsid Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp -noreset +extension GLX \
    3>"$folder/number" >"$folder/log" 2>&1 </dev/null &
server=$!
if ! read -r -t 60 number <"$folder/number"; then
    echo "The virtual screen did not start:" >&2
    cat "$folder/log" >&2
    exit 1
fi

unset WAYLAND_DISPLAY
trap '' INT  # the command gets it, and we clean up after it
status=0
(trap - INT; DISPLAY=:$number QT_QPA_PLATFORM=xcb LIBGL_ALWAYS_SOFTWARE=1 exec "$@") || status=$?
exit "$status"
