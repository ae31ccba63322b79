// The form of document 63969: a goroutine cleans up at SIGTERM, and ends the process.
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
	written := 0
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Println("stopping")
		save(written) // another goroutine's variable: that is the first thing wrong with it
		os.Exit(0)
	}()
	for written < asked.Rows {
		time.Sleep(10 * time.Millisecond)
		written++
		fmt.Println("row", written)
	}
	return written, nil
}

func save(written int) {
	path := filepath.Join(os.Getenv("OUT"), "checkpoint")
	if err := os.WriteFile(path, []byte(strconv.Itoa(written)), 0o644); err != nil {
		fmt.Println(err)
	}
}
