# shellcheck shell=bash
# Leaves out test files that passed in a leg here and for which nothing has changed since: .ci/run reads this file.
# tools/stamps.py says what a test file depends on. CI_ALL=1 leaves out none.

STAMPS="$CACHE/stamps" # of each leg, the keys of the test files that have passed

stamps() { # stamps COMMAND LEG ARGUMENT...
    "${python_of[$main]}" tools/stamps.py "$1" --scratch "$SCRATCH" --store "$STAMPS" --leg "$2" "${@:3}"
}

to_run() { # to_run LEG ENVIRONMENT FILE...: prints the files that have to run
    stamps choose "$1" --environment "$2" "${@:3}"
}

passed() { # passed LEG: all files that to_run was given have passed, now or before
    stamps keep "$1"
}
