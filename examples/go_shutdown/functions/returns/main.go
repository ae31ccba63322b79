// The same, fixed: the signal ends the loop, and the handler returns what it has done.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
)

type event struct {
	Rows int `json:"rows"`
}

func main() {
	cloudfunction.Start(handle)
}

func handle(ctx context.Context, asked event) (int, error) {
	stopping, forget := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer forget() // else the next event on this instance would not end at a signal, as no goroutine waits for it
	written := 0
	for written < asked.Rows && stopping.Err() == nil {
		time.Sleep(10 * time.Millisecond)
		written++
		fmt.Println("row", written)
	}
	path := filepath.Join(os.Getenv("OUT"), "checkpoint")
	return written, os.WriteFile(path, []byte(strconv.Itoa(written)), 0o644)
}
