package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"time"
)

type Event struct {
	What  string
	Count int
}

func main() {
	http.HandleFunc("/event-invoke", func(answer http.ResponseWriter, request *http.Request) {
		var event Event
		json.NewDecoder(request.Body).Decode(&event)
		for i := 0; i < event.Count; i++ {
			switch event.What {
			case "sleeps":
				time.Sleep(time.Second)
			case "clock reads":
				time.Now() // two reads: one of each clock
			case "system calls":
				syscall.Getppid()
			}
		}
		fmt.Fprintln(os.Stderr, "done")
		fmt.Fprint(answer, event.Count)
	})
	http.ListenAndServe("0.0.0.0:"+os.Args[1], nil)
}
