# shellcheck shell=bash
# Root directories of Debian, in which CI runs what this machine itself cannot show: .ci/run reads this file.
# `unstable` has the Pythons that this machine lacks; `bare`, of the stable suite, has a Python, make and git, and nothing else.

FROM_UNSTABLE=(3.14 3.15) # the Pythons that come from there
declare -A SUITE_OF=([unstable]=unstable [bare]=stable)
declare -A PACKAGES_OF=([unstable]=make,ca-certificates,util-linux [bare]=python3,python3-venv,make,git,ca-certificates)
for version in "${FROM_UNSTABLE[@]}"; do
    PACKAGES_OF[unstable]+=",python$version,python$version-venv"
done
BOUND=() # files and directories of this machine that are in each root under the same path

root_of() { # root_of NAME: its directory; remove it, and the next run makes it anew
    echo "$CACHE/debian-$1"
}

make_root() { # make_root NAME: make it, or say why not; nothing is left of one that is not complete
    local name=$1 root mirror proxy options=('--aptopt=Acquire::Check-Valid-Until "false"')
    root=$(root_of "$name")
    if ! command -v mmdebstrap >/dev/null 2>&1; then
        echo "installing: mmdebstrap"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends mmdebstrap; } \
            >/dev/null 2>&1 || { why="mmdebstrap is not here and could not be installed"; return 1; }
    fi
    # shellcheck disable=SC2016  # the format is apt's
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n '/^Debian http/ {s/^Debian //p; q}')
    mirror=${mirror:-http://deb.debian.org/debian}
    proxy=$(apt-config shell proxy Acquire::http::Proxy) && eval "$proxy"
    if [ -n "$proxy" ]; then
        options+=("--aptopt=Acquire::http::Proxy \"$proxy\"")
    fi
    echo "making a root directory of Debian ${SUITE_OF[$name]} in $root"
    mkdir -p "$CACHE"
    rm -rf --one-file-system "$root" "$root.new"
    if ! mmdebstrap --quiet --variant=minbase "${options[@]}" --include="${PACKAGES_OF[$name]}" "${SUITE_OF[$name]}" \
        "$root.new" "$mirror" >"$SCRATCH/mmdebstrap" 2>&1; then
        rm -rf --one-file-system "$root.new"
        why="mmdebstrap made no root: $(tail -n 1 "$SCRATCH/mmdebstrap")"
        return 1
    fi
    mkdir "$root.new/tree"
    echo "${PACKAGES_OF[$name]}" >"$root.new/.complete"
    mv "$root.new" "$root"
}

could_have_root() { # else sets why
    if [ "$(id -u)" -ne 0 ]; then
        why="only root can make and enter one"
    elif ! command -v apt-get >/dev/null 2>&1; then
        why="there is no apt-get"
    elif ! unshare --mount --propagation private true 2>/dev/null; then
        why="no mount namespace can be had here (unshare)"
    else
        return 0
    fi
    return 1
}

prepare_root() { # prepare_root NAME PURPOSE: have it ready to be entered, or say why there is none
    local name=$1 why="" path root
    root=$(root_of "$name")
    if ! could_have_root; then
        :
    elif [ "$(cat "$root/.complete" 2>/dev/null)" != "${PACKAGES_OF[$name]}" ]; then
        make_root "$name" || true
    fi
    if [ -n "$why" ]; then
        echo "no root directory of Debian ${SUITE_OF[$name]}, for $2: $why"
        return 1
    fi
    cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
    mkdir -p -m 1777 "$SCRATCH/root-tmp-$name"
    BOUND=()
    for path in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/xdg/pip ~/.config/pip ~/.pip $(pip_names); do
        if [ -e "$path" ]; then
            BOUND+=("$path")
        fi
    done
}

pip_names() { # the paths that pip's settings name: a file of constraints, a certificate, a directory of wheels
    "${python_of[${VERSIONS[0]}]:-python3}" -m pip config list 2>/dev/null | sed 's/\\n/\n/g' | tr "'= " '\n' | sed -n 's#^\(file://\)\{0,1\}/#/#p'
}

enter_root() { # enter_root ROOT TMP PATH... -- COMMAND...: in a mount namespace of its own, with which all of its mounts go
    set -euo pipefail
    local root=$1 tmp=$2
    shift 2
    mount --bind "$root" "$root" # a root has to be a mount
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount --bind "$PWD" "$root/tree"
    mount --bind "$tmp" "$root/tmp"
    while [ "$1" != -- ]; do
        if [ -d "$1" ]; then
            mkdir -p "$root$1"
        else
            mkdir -p "$(dirname "$root$1")"
            [ -e "$root$1" ] || : >"$root$1"
        fi
        mount --bind "$1" "$root$1"
        shift
    done
    shift
    cd "$root"
    pivot_root . . # and not chroot, under which the kernel gives nobody a user namespace
    umount --lazy .
    cd /tree
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin exec env -u TMPDIR "$@"
}

in_root() { # in_root NAME COMMAND...: run it in that root, with the current directory in /tree
    local also=()
    if [ "$1" = unstable ]; then # its environments are installed with uv
        also=("$UV_CACHE_DIR")
    fi
    unshare --mount --propagation private -- bash -c "$(declare -f enter_root); enter_root \"\$@\"" _ \
        "$(root_of "$1")" "$SCRATCH/root-tmp-$1" "${BOUND[@]}" "${also[@]}" -- "${@:2}"
}
