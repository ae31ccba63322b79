// Keeps its state in a file that it writes in place; with "rename" in a new one that replaces it.
package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	state := filepath.Join(os.Args[1], "state.json")
	target, done := state, []string{}
	if len(os.Args) > 2 {
		target += ".new"
	}
	if text, err := os.ReadFile(state); err == nil && json.Unmarshal(text, &done) != nil {
		os.Exit(1)
	}
	for len(done) < 3 {
		done = append(done, strings.Repeat("step ", 1400))
		text, _ := json.Marshal(done)
		if os.WriteFile(target, text, 0o644) != nil || target != state && os.Rename(target, state) != nil {
			os.Exit(1)
		}
	}
}
