// The program of an image function: it exports rows until SIGTERM comes, and answers how far it came.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

func export(answer http.ResponseWriter, request *http.Request) {
	var event struct{ Rows int }
	if err := json.NewDecoder(request.Body).Decode(&event); err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	stopping, forget := signal.NotifyContext(request.Context(), syscall.SIGTERM)
	defer forget()
	done := 0
	for done < event.Rows && stopping.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		done++
		fmt.Println("row", done)
	}
	json.NewEncoder(answer).Encode(map[string]int{"done": done})
}

func main() {
	http.HandleFunc("/event-invoke", export)
	fmt.Println(http.ListenAndServe(":9000", nil))
}
