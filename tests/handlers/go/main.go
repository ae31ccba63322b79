// A function that does what its event names: {"do": "echo"}, {"do": "fail", "text": "why"}, …
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"scf.test/functions/cloudfunction"
)

type event struct {
	Do      string
	Text    string
	Number  int
	Seconds float64
}

type refused struct{ why string }

func (err *refused) Error() string { return err.why }

func main() {
	switch os.Getenv("BEGIN") {
	case "print":
		fmt.Println("beginning")
	case "hang":
		fmt.Println("beginning")
		time.Sleep(time.Hour)
	case "exit":
		os.Exit(3)
	}
	cloudfunction.Start(handle)
}

func handle(ctx context.Context, request *cloudfunction.InvokeRequest) ([]byte, error) {
	var asked event
	if err := json.Unmarshal(request.Payload, &asked); err != nil {
		return nil, err
	}
	switch asked.Do {
	case "echo":
		return echo(ctx, request)
	case "getenv":
		return json.Marshal(os.Getenv(asked.Text))
	case "environ":
		return json.Marshal(os.Environ())
	case "pid":
		return json.Marshal(os.Getpid())
	case "print":
		fmt.Println(asked.Text)
		fmt.Fprintln(os.Stderr, asked.Text)
	case "count":
		for number := 0; number < asked.Number; number++ {
			fmt.Println("line", number)
			time.Sleep(time.Duration(asked.Seconds * float64(time.Second)))
		}
	case "grow":
		held := make([]byte, asked.Number<<20)
		for index := 0; index < len(held); index += 4096 {
			held[index] = 1
		}
		fmt.Println("grown to", len(held)>>20)
		select {}
	case "sleep":
		time.Sleep(time.Duration(asked.Seconds * float64(time.Second)))
	case "write":
		return []byte("null"), os.WriteFile(asked.Text, []byte("written"), 0o644)
	case "write and block":
		path := filepath.Join(os.TempDir(), "rows.csv")
		if err := os.WriteFile(path, []byte("written"), 0o644); err != nil {
			return nil, err
		}
		fmt.Println("working")
		select {}
	case "fail":
		return nil, errors.New(asked.Text)
	case "refuse":
		return nil, &refused{asked.Text}
	case "panic":
		panic(asked.Text)
	case "nil map":
		var missing map[string]int
		missing[asked.Text] = 1
	case "crash": // not the goroutine of the call: nothing recovers it
		go panic(asked.Text)
		select {}
	case "exit":
		os.Exit(asked.Number)
	case "large":
		return json.Marshal(strings.Repeat("x", asked.Number-2)) // two bytes are its quotes
	case "raw":
		return []byte(asked.Text), nil
	case "bytes":
		return []byte{0xff, 0xfe}, nil
	case "block":
		fmt.Println("working")
		select {}
	case "exit at SIGTERM": // as the platform's documents show it
		signals := listen()
		go func() {
			<-signals
			fmt.Println("leaving")
			os.Exit(0)
		}()
		fmt.Println("working")
		select {}
	case "return at SIGTERM":
		signals := listen()
		fmt.Println("working")
		<-signals
		return json.Marshal("stopped")
	case "ignore SIGTERM":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("working")
		select {}
	default:
		return nil, fmt.Errorf("do is %q", asked.Do)
	}
	return []byte("null"), nil
}

func listen() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	return signals
}

func echo(ctx context.Context, request *cloudfunction.InvokeRequest) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	fields := *request
	fields.Payload = nil
	fields.Deadline = cloudfunction.InvokeRequest_Timestamp{}
	return json.Marshal(map[string]any{
		"event":    json.RawMessage(request.Payload),
		"request":  fields,
		"deadline": float64(deadline.UnixNano()) / 1e9,
	})
}
