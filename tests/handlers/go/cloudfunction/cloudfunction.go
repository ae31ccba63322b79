// Package cloudfunction serves a function as the platform's own Go library does: the same names and types on the wire,
// by way of the real net/rpc, which the harness's helper does without.
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
	"runtime"
	"time"
)

type PingRequest struct{}

type PingResponse struct{}

type InvokeRequest_Timestamp struct {
	Seconds int64
	Nanos   int64
}

type InvokeRequest struct {
	Payload               []byte
	RequestId             string
	TraceId               string
	Deadline              InvokeRequest_Timestamp
	InvokedFunctionUnique string
	ClientContext         []byte
	Namespace             string
	FunctionName          string
	FunctionVersion       string
	MemoryLimitInMb       int32
	TimeLimitInMs         int32
	Environment           string
	TencentcloudRegion    string
	TencentcloudAppID     string
	TencentcloudUin       string
	FunctionTrace         string
}

type InvokeResponse struct {
	Payload []byte
	Error   *InvokeResponse_Error
}

type InvokeResponse_Error struct {
	Message    string
	Type       string
	StackTrace []*InvokeResponse_Error_StackFrame
	ShouldExit bool
}

type InvokeResponse_Error_StackFrame struct {
	Path  string
	Line  int32
	Label string
}

// Handler gets the request too: tests check what the harness puts into it.
type Handler func(ctx context.Context, request *InvokeRequest) ([]byte, error)

// Function is what is registered: the name of the type is that of the service.
type Function struct {
	handler Handler
}

func (function *Function) Ping(_ *PingRequest, _ *PingResponse) error { return nil }

func (function *Function) Invoke(request *InvokeRequest, response *InvokeResponse) error {
	defer func() {
		if value := recover(); value != nil {
			response.Error = &InvokeResponse_Error{
				Message: fmt.Sprint(value), Type: typeName(value), StackTrace: stack(), ShouldExit: true,
			}
		}
	}()
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(request.Deadline.Seconds, request.Deadline.Nanos))
	defer cancel()
	var environment map[string]string
	if len(request.Environment) > 0 {
		if err := json.Unmarshal([]byte(request.Environment), &environment); err != nil {
			response.Error = &InvokeResponse_Error{Message: err.Error(), Type: typeName(err)}
			return nil
		}
	}
	for name, value := range environment {
		os.Setenv(name, value)
	}
	payload, err := function.handler(ctx, request)
	if err != nil {
		response.Error = &InvokeResponse_Error{Message: err.Error(), Type: typeName(err)}
		return nil
	}
	response.Payload = payload
	return nil
}

// Start serves, and does not return.
func Start(handler Handler) {
	listener, err := net.Listen("tcp", "0.0.0.0:"+os.Getenv("_LAMBDA_SERVER_PORT"))
	if err != nil {
		log.Fatal(err)
	}
	if err := rpc.Register(&Function{handler}); err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}

func typeName(value any) string {
	found := reflect.TypeOf(value)
	if found.Kind() == reflect.Ptr {
		found = found.Elem()
	}
	return found.Name()
}

// stack is that of the panic which is recovered, the innermost call first.
func stack() []*InvokeResponse_Error_StackFrame {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	var found []*InvokeResponse_Error_StackFrame
	for {
		frame, more := frames.Next()
		found = append(found, &InvokeResponse_Error_StackFrame{frame.File, int32(frame.Line), frame.Function})
		if !more {
			return found
		}
	}
}
