// A function that carries out the orders of tests/runtimes_table.py.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"scf.test/functions/cloudfunction"
)

type order struct {
	Do      string
	Then    string
	Code    int
	Seconds float64
}

func main() {
	cloudfunction.Start(handle)
}

func handle(_ context.Context, request *cloudfunction.InvokeRequest) ([]byte, error) {
	var asked order
	if err := json.Unmarshal(request.Payload, &asked); err != nil {
		return nil, err
	}
	switch asked.Do {
	case "listen":
		return listen(asked.Then)
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Duration(asked.Seconds * float64(time.Second)))
	case "raise":
		return nil, errors.New("as asked")
	case "big":
		return json.Marshal(strings.Repeat("x", 6*1024*1024))
	case "exit":
		os.Exit(asked.Code)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "memory":
		data := make([]byte, 200<<20)
		for at := range data {
			data[at] = 1
		}
		time.Sleep(100 * time.Second)
		return json.Marshal(data[len(data)-1])
	}
	return json.Marshal("done")
}

func listen(then string) ([]byte, error) {
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGTERM)
	fmt.Println("ready")
	if then == "go on" {
		time.Sleep(200 * time.Millisecond)
		return json.Marshal(then)
	}
	for range received {
		fmt.Println("handled")
		switch then {
		case "exit":
			os.Exit(0)
		case "return":
			return json.Marshal(then)
		}
	}
	return nil, nil
}
