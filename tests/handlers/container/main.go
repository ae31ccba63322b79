// The program of an image: what an event requests of it, and what it does at SIGTERM, by the variable AT_SIGTERM.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"
)

type asked struct {
	Seconds float64 // to work, with a line for each step
	Step    float64 // in seconds; a tenth unless given
	Write   string  // a file to write
	Env     string  // a variable to show
	Dial    string  // an address to connect to
	Exit    int     // the exit code to end with, if any
}

var stopping = make(chan os.Signal, 1)

func work(event asked) any {
	if event.Write != "" {
		if err := os.WriteFile(event.Write, []byte("kept"), 0o644); err != nil {
			return err.Error()
		}
	}
	if event.Dial != "" {
		_, err := net.DialTimeout("tcp", event.Dial, time.Second)
		return fmt.Sprint(err)
	}
	if event.Exit != 0 {
		os.Exit(event.Exit)
	}
	if event.Step == 0 {
		event.Step = 0.1
	}
	start := time.Now()
	for number := 0; time.Since(start).Seconds() < event.Seconds; number++ {
		fmt.Println("step", number)
		select {
		case <-stopping:
			return fmt.Sprint("stopped after ", time.Since(start).Round(time.Second))
		case <-time.After(time.Duration(event.Step * float64(time.Second))):
		}
	}
	fmt.Println("the last line")
	return os.Getenv(event.Env)
}

// atSigterm does what a program in another language has from its start, and a Go program has not.
func defaultAtSigterm() {
	var action [4]uintptr
	size := unsafe.Sizeof(uint64(0))
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGTERM), uintptr(unsafe.Pointer(&action)), 0, size, 0, 0)
}

func main() {
	switch os.Getenv("AT_SIGTERM") {
	case "default":
		defaultAtSigterm()
	case "exits":
		go func() {
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, syscall.SIGTERM)
			<-signals
			fmt.Println("exits")
			os.Exit(0)
		}()
	default:
		signal.Notify(stopping, syscall.SIGTERM)
	}
	if job := os.Getenv("SCF_CUSTOM_CONTAINER_EVENT"); job != "" {
		var event asked
		json.Unmarshal([]byte(job), &event)
		fmt.Println("answer:", work(event))
		return
	}
	http.HandleFunc("/event-invoke", func(answer http.ResponseWriter, request *http.Request) {
		var event asked
		json.NewDecoder(request.Body).Decode(&event)
		json.NewEncoder(answer).Encode(work(event))
	})
	fmt.Println(http.ListenAndServe(":9000", nil))
}
