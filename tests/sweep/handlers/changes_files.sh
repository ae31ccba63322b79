# A program that changes files, each in another way; a bare process does the same, and is killed.
echo begins
cd "$OUT" || exit 1
for round in 1 2 3 4 5 6 7 8; do
    printf 'row %s\n' "$round" >>rows
    seq 1 $((round * 700)) >numbers.new
    mv numbers.new numbers
    echo "$round" >checkpoint
    cp numbers "copy-$((round % 2))"
    ln -f checkpoint backup
    mkdir -p "parts/$round"
    head -c 9000 /dev/zero | tr '\0' x | tee "parts/$round/data" >/dev/null
    truncate -s 5000 "parts/$round/data"
    if [ $((round % 3)) -eq 0 ]; then rm -r parts; fi
done
echo ends
