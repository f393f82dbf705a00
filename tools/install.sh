#!/bin/sh
# Makes .venv with everything that developing, testing and the demo need.
# Quick when nothing has changed. Needs python3 (3.11 or later); asks apt for python3-venv
# where Debian has split it off.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.installed
wanted=$(cat pyproject.toml constraints.txt tools/install.sh | cksum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

python=${PYTHON:-python3}
command -v "$python" >/dev/null || { echo "install: python3 is missing; install Python 3.11 or later" >&2; exit 2; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "install: $("$python" --version) is too old; Prober needs Python 3.11 or later (set PYTHON=...)" >&2
    exit 2
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "install: this python3 has no venv module; asking apt for python3-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    else
        echo "install: run 'sudo apt-get install python3-venv' once, then again" >&2
        exit 2
    fi
fi
echo "install: making .venv (about a minute the first time)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
    --editable '.[daemon,embedded,postgresql]' $(.venv/bin/python - <<'PY'
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["dependency-groups"]["dev"])
PY
)
printf '%s' "$wanted" > "$stamp"
