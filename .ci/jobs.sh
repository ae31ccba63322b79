# shellcheck shell=bash
# Jobs in the background of .ci/run, which reads this file.
#
# The shell forgets how a job has ended when another child of it gets the same process id, and with tests that start
# 32,768 processes ids come again. So each job leaves its exit code in a file.

declare -A job_of=() # by name: the process id of each

begin_job() { # begin_job NAME COMMAND...: in the background; what it prints goes to $SCRATCH/NAME.log
    (
        # shellcheck disable=SC2064  (the name is that of now)
        trap "echo \$? >'$SCRATCH/$1.code'" EXIT
        "${@:2}"
    ) >"$SCRATCH/$1.log" 2>&1 &
    job_of[$1]=$!
}

end_job() { # end_job NAME: waits for it, prints what it has printed, and returns its exit code; 1 if it was killed
    wait "${job_of[$1]}" 2>/dev/null || true
    unset "job_of[$1]"
    cat "$SCRATCH/$1.log"
    return "$(cat "$SCRATCH/$1.code" 2>/dev/null || echo 1)"
}
