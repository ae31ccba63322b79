out=$1
page=$(cat "$out/page" 2> /dev/null || echo 0)
while [ "$page" -lt 10 ]; do
    echo "row $page" > "$out/row-$page"
    page=$((page + 1))
    echo "$page" > "$out/new"
    mv "$out/new" "$out/page"
done
