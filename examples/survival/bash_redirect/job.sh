# Keeps the number of its steps in a file, and a file of each: written in place, or with "move" to a new one that is moved.
cd "$1" || exit 1
done=0
[ ! -e position ] || read -r done <position
while [ "$done" -lt 3 ]; do
    done=$((done + 1))
    if [ "$2" = move ]; then
        printf '%s\n' "$done" >position.new
        [ "$3" != sync ] || sync position.new
        mv position.new position
    else
        printf '%s\n' "$done" >position
    fi
done
[ "$done" -eq 3 ]
