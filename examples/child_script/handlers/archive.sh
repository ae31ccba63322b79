#!/bin/sh
# Archives one day after the other, ten minutes each, and stops between two of them after SIGTERM.
stopping=
trap 'stopping=yes' TERM

for day in "$@"; do
    echo "archiving $day"
    sleep 600 &
    until wait $!; do :; done # a signal interrupts wait, and the day is brought to its end
    echo "$day" >>"$OUT/archived"
    [ -z "$stopping" ] || exit 75
done
