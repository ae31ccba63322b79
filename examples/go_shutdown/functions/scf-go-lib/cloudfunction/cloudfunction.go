// Package cloudfunction stands in for the platform's library of that name: what it has here, it has there.
package cloudfunction

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
	"reflect"
	"time"
)

type PingRequest struct{}

type PingResponse struct{}

type InvokeRequest_Timestamp struct{ Seconds, Nanos int64 }

type InvokeRequest struct {
	Payload   []byte
	RequestId string
	Deadline  InvokeRequest_Timestamp
}

type InvokeResponse struct {
	Payload []byte
	Error   *InvokeResponse_Error
}

type InvokeResponse_Error struct {
	Message, Type string
	ShouldExit    bool
}

type Function struct{ handler reflect.Value }

func (function *Function) Ping(_ *PingRequest, _ *PingResponse) error { return nil }

func (function *Function) Invoke(request *InvokeRequest, response *InvokeResponse) error {
	defer func() {
		if value := recover(); value != nil {
			response.Error = &InvokeResponse_Error{fmt.Sprint(value), fmt.Sprintf("%T", value), true}
		}
	}()
	deadline := time.Unix(request.Deadline.Seconds, request.Deadline.Nanos)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	event := reflect.New(function.handler.Type().In(1))
	err := json.Unmarshal(request.Payload, event.Interface())
	if err == nil {
		results := function.handler.Call([]reflect.Value{reflect.ValueOf(ctx), event.Elem()})
		if err, _ = results[1].Interface().(error); err == nil {
			response.Payload, err = json.Marshal(results[0].Interface())
		}
	}
	if err != nil {
		response.Error = &InvokeResponse_Error{err.Error(), fmt.Sprintf("%T", err), false}
	}
	return nil
}

// Start serves the handler, a func(context.Context, Event) (Result, error), and does not return.
func Start(handler interface{}) {
	listener, err := net.Listen("tcp", ":"+os.Getenv("_LAMBDA_SERVER_PORT"))
	if err != nil {
		log.Fatal(err)
	}
	if err := rpc.Register(&Function{reflect.ValueOf(handler)}); err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}
