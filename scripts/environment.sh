# Sourced by the other scripts: finds Python, makes .venv, installs what is missing.
# Written for bash 3.2, the one that macOS has.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv

give_up() {
    printf '%s: %s\n' "scripts/$(basename "$0")" "$1" >&2
    exit 1
}

on_linux() { [ "$(uname -s)" = Linux ]; }

find_python() {
    local name
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

# What each program is called where it is packaged; the name itself unless said otherwise.
package_of() {
    case "$1" in
    age-keygen) echo age ;;
    bsdtar) echo libarchive-tools ;;
    ssh-keygen) echo openssh-client ;;
    shasum) echo perl ;;
    setpriv | unshare | mount | flock) echo util-linux ;;
    sha256sum) echo coreutils ;;
    crontab) echo cron ;;
    systemd-analyze) echo systemd ;;
    pgrep) echo procps ;;
    *) echo "$1" ;;
    esac
}

# need_programs PROGRAM...: installs Debian's when we are root, else names every missing one.
need_programs() {
    local program missing='' packages=''
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 && continue
        missing="$missing${missing:+, }$program"
        packages="$packages $(package_of "$program")"
    done
    [ -z "$missing" ] && return
    if on_linux && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        install_packages $packages && return
        give_up "apt-get could not install$packages; its output is above."
    elif on_linux; then
        give_up "missing programs: $missing (as root on Debian: apt-get install$packages)."
    fi
    give_up "missing programs: $missing (with Homebrew: brew install$packages)."
}

install_packages() {
    echo "Installing $*" >&2
    apt-get update -q >&2 &&
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >&2
}

# What the installed environment depends on: the declared packages, the place, the interpreter.
fingerprint() {
    { cat "$root/pyproject.toml" && printf '%s\n' "$venv"; } | cksum
}

# need_venv: makes .venv with the package and its development tools, once per pyproject.toml.
need_venv() {
    local python log=$venv/install.log
    if [ "$(cat "$venv/fingerprint" 2>/dev/null)" = "$(fingerprint)" ] &&
        "$venv/bin/python" -c 'import agebackup, click, pytest' 2>/dev/null; then
        return
    fi
    python=$(find_python) || give_up "Python 3.11 or later is missing (none among python3.14 to python3.11 and python3)."
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        if on_linux && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            install_packages "$(basename "$(readlink -f "$python")")-venv" || install_packages python3-venv ||
                give_up "apt-get could not install python3-venv; its output is above."
        else
            give_up "Python's venv module is missing for $python (on Debian: apt-get install python3-venv)."
        fi
    fi
    echo "Making $venv with $("$python" --version)" >&2
    if ! "$python" -m venv --clear "$venv" >&2; then
        give_up "$python could not make the virtual environment $venv."
    fi
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        -e "$root[dev]" >"$log" 2>&1; then
        if grep -Eqi 'connection|resolution|timed out|no matching distribution' "$log"; then
            give_up "The Python packages could not be downloaded: no network, or no package index in reach (pip's output is in $log)."
        fi
        give_up "pip could not install the Python packages; its output is in $log."
    fi
    fingerprint >"$venv/fingerprint"
}
