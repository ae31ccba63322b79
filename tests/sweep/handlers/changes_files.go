// A program that changes files, each in another way; a bare process does the same, and is killed.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	fmt.Println("begins")
	must(os.Chdir(os.Getenv("OUT")))
	for round := 1; round <= 20; round++ {
		must(os.WriteFile("checkpoint", bytes.Repeat([]byte{byte(64 + round)}, 9000), 0o644))
		must(os.WriteFile("new", []byte(fmt.Sprint("round ", round)), 0o600))
		must(os.Rename("new", "renamed"))
		rows, err := os.OpenFile("rows", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		must(err)
		fmt.Fprintln(rows, "row", round)
		must(rows.Close())
		from, err := os.Open("checkpoint")
		must(err)
		to, err := os.Create(fmt.Sprint("copy-", round%2))
		must(err)
		_, err = io.Copy(to, from)
		must(err)
		_, err = to.WriteAt([]byte("far"), 30000)
		must(err)
		must(to.Truncate(20000))
		must(to.Close())
		must(from.Close())
		part := filepath.Join("parts", fmt.Sprint(round))
		must(os.MkdirAll(part, 0o755))
		must(os.Symlink("../../rows", filepath.Join(part, "link")))
		if round%5 == 0 {
			must(os.RemoveAll("parts"))
		}
	}
	fmt.Println("ends")
}
