# Copies a file to three names that are not there yet; with "move" to new ones that are moved, with "sync" when synced.
set -e
for step in 1 2 3; do
    copy=$1/step-$step
    [ ! -e "$copy" ] || continue
    if [ "$2" = move ]; then
        cp source.txt "$copy.new"
        [ "$3" != sync ] || sync "$copy.new"
        mv "$copy.new" "$copy"
    else
        cp source.txt "$copy"
    fi
done
