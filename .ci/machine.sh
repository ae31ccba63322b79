# shellcheck shell=bash
# What this machine has, and what can be installed: .ci/run reads this file.

declare -A python_of=() # of each version that can be had, the interpreter
declare -A in_unstable=() # the versions that the root of Debian unstable has, and this machine has not
found=()                # the versions that can be had, the oldest first
main=""                 # the newest of this machine's own

has_go() { # the go command, new enough
    [[ "$(go env GOVERSION 2>/dev/null)" =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 18 ]
}

has_qemu() { # machine code of aarch64 can be run
    [ "$(uname -m)" = aarch64 ] || command -v qemu-aarch64 >/dev/null 2>&1
}

has_podman() { # it starts a container: this one has no program, which podman says with 127
    local root status=0
    root=$(mktemp -d)
    podman run --rm --network=none --read-only --rootfs "$root" /none >/dev/null 2>&1 || status=$?
    rm -rf "$root"
    [ "$status" -eq 127 ]
}

could_be_in_container() { # of which the files are this machine's, in a layer of their own
    [ "$(id -u)" -eq 0 ] && has_podman
}

has_redis() {
    command -v redis-server >/dev/null 2>&1
}

has_postgres() {
    command -v postgres >/dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

has_chromium() {
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1
}

is_version() { # is_version INTERPRETER 3.X: it runs, and is that version (a shim without its version is neither)
    [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$2" ]
}

can_make_venv() {
    "$1" -c 'import venv, ensurepip' >/dev/null 2>&1
}

find_python() { # find_python 3.X: prints an interpreter of that version that can make a virtual environment
    local version=$1 candidate
    # The distribution's first: it is compiled with profiles, and takes half the time of one that pyenv has compiled without.
    local candidates=("/usr/bin/python$version" "python$version")
    if command -v pyenv >/dev/null 2>&1; then
        for candidate in "$(pyenv root)/versions/$version".*/bin/python; do
            candidates+=("$candidate")
        done
    fi
    candidates+=(/usr/bin/python3 python3)
    for candidate in "${candidates[@]}"; do
        if is_version "$candidate" "$version" && can_make_venv "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

install() { # install PACKAGE...: with apt, or not at all
    echo "installing: $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"; } >/dev/null
}

install_what_is_missing() {
    local missing=() server
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        return 0
    fi
    command -v make >/dev/null 2>&1 || missing+=(make)
    if ! command -v python3 >/dev/null 2>&1; then
        missing+=(python3 python3-venv)
    elif [ -x /usr/bin/python3 ] && ! can_make_venv /usr/bin/python3; then
        missing+=(python3-venv)
    fi
    command -v setpriv >/dev/null 2>&1 || missing+=(util-linux)
    if [ "${#missing[@]}" -gt 0 ]; then
        install "${missing[@]}"
    fi
    has_go || install golang-go || echo "golang-go could not be installed"
    command -v node >/dev/null || install nodejs || echo "nodejs could not be installed"
    command -v npm >/dev/null || install npm || echo "npm could not be installed"
    command -v cc >/dev/null || install gcc libc6-dev || echo "gcc could not be installed"
    command -v openssl >/dev/null || install openssl || echo "openssl could not be installed"
    command -v curl >/dev/null || install curl || echo "curl could not be installed"
    has_qemu || install qemu-user || echo "qemu-user could not be installed"
    # Without crun, which podman prefers to runc: where cgroups are in hybrid mode it starts no container.
    has_podman || install podman runc crun- || echo "podman could not be installed"
    has_redis || install redis-server || echo "redis-server could not be installed"
    has_postgres || install postgresql || echo "postgresql could not be installed"
    command -v gdb >/dev/null || install gdb || echo "gdb could not be installed"
    has_chromium || install chromium || echo "chromium could not be installed"
    command -v strace >/dev/null || install strace || echo "strace could not be installed"
}

pip_setting() { # pip_setting NAME: what pip was told, by its files or the environment
    "${python_of[$main]}" -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -n 1
}

UV_PLACE=.venv-uv # in the tree, which the root of Debian unstable has too
get_uv() { # have uv, with pip's settings, install what the environments need; where it cannot, pip does
    local -A variable_of=([index-url]=UV_DEFAULT_INDEX [extra-index-url]=UV_INDEX [find-links]=UV_FIND_LINKS [constraint]=UV_CONSTRAINT)
    local name value
    for name in "${!variable_of[@]}"; do
        value=$(pip_setting "$name")
        if [ -n "$value" ]; then
            export "${variable_of[$name]}=$value"
        fi
    done
    "${python_of[$main]}" -m venv "$UV_PLACE"
    if "$UV_PLACE/bin/python" -m pip install --quiet uv &&
        "$UV_PLACE/bin/uv" pip install --quiet --dry-run --python "$UV_PLACE/bin/python" pytest; then
        export UV="$UV_PLACE/bin/uv"
    else
        echo "uv cannot install packages here: pip does"
    fi
}

find_pythons() { # find_pythons HOW: fill found, main and python_of, and say what was found
    # HOW: `prepare` the root of Debian unstable if a version is to come from it, `expect` it, or go `without` it
    local how=$1 version python absent=() wanted=""
    for version in "${VERSIONS[@]}"; do
        if python=$(find_python "$version"); then
            python_of[$version]=$python
            main=$version
        elif [[ " ${FROM_UNSTABLE[*]} " == *" $version "* ]]; then
            wanted=yes
        fi
    done
    if [ -z "$main" ]; then
        echo "none of Python ${VERSIONS[*]} is on this machine itself: nothing can be tested" >&2
        exit 1
    fi
    if [ "$how" = without ] || { [ "$how" = expect ] && ! could_have_root; } || { [ -n "$wanted" ] && [ "$how" = prepare ] && ! prepare_root unstable "Python ${FROM_UNSTABLE[*]}"; }; then
        wanted=""
    fi
    for version in "${VERSIONS[@]}"; do
        python=${python_of[$version]:-}
        if [ -n "$python" ]; then
            echo "Python $version: $python ($("$python" -V))"
        elif [ -n "$wanted" ] && has_in_root "$how" "$version"; then
            python_of[$version]=/usr/bin/python$version
            in_unstable[$version]=yes
            echo "Python $version: /usr/bin/python$version of Debian unstable"
        else
            absent+=("$version")
            continue
        fi
        found+=("$version")
    done
    if [ "$how" != without ]; then
        echo "not tested, as they are not to be had here: ${absent[*]:-none}"
    fi
}

has_in_root() { # has_in_root HOW VERSION
    [[ " ${FROM_UNSTABLE[*]} " == *" $2 "* ]] && { [ "$1" = expect ] || in_root unstable "/usr/bin/python$2" -V; } >/dev/null 2>&1
}

say_what_was_left_out() { # what no leg says itself: a test that lacks something is named in the last lines of its leg
    command -v npm >/dev/null ||
        echo "not run, for want of npm (Debian and Ubuntu: apt-get install nodejs npm): the API's clients in Node.js, examples/endpoint_jest"
    echo "not run, as no Go module is fetched: the API's endpoint with the official SDK for Go"
}
