package main

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"time"
)

// What goes over the wire has the names and types of the messages of github.com/tencentyun/scf-go-lib, and of net/rpc:
// gob matches fields by their names. net/rpc itself would double the time of the first build, by the whole of net/http.

type callHeader struct {
	ServiceMethod string
	Seq           uint64
}

type answerHeader struct {
	ServiceMethod string
	Seq           uint64
	Error         string
}

type pingRequest struct{}

type pingResponse struct{}

type timestamp struct {
	Seconds int64
	Nanos   int64
}

type invokeRequest struct {
	Payload               []byte
	RequestId             string
	TraceId               string
	Deadline              timestamp
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

type invokeResponse struct {
	Payload []byte
	Error   *invokeError
}

type invokeError struct {
	Message    string
	Type       string
	StackTrace []*stackFrame
	ShouldExit bool
}

type stackFrame struct {
	Path  string
	Line  int32
	Label string
}

// refusal is an error that the server of net/rpc answers a call with, while the connection is whole.
type refusal string

func (text refusal) Error() string { return string(text) }

// function is the connection to the program that the user wrote; one call at a time.
type function struct {
	connection net.Conn
	buffer     *bufio.Writer
	encoder    *gob.Encoder
	decoder    *gob.Decoder
	calls      uint64
}

// reach returns once the program on the port has answered a ping, however long that takes.
func reach(port int) *function {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	pause := time.Millisecond
	for {
		if connection, err := net.Dial("tcp4", address); err == nil {
			buffer := bufio.NewWriterSize(connection, 1<<16)
			reached := &function{connection, buffer, gob.NewEncoder(buffer), gob.NewDecoder(connection), 0}
			if reached.call("Function.Ping", &pingRequest{}, &pingResponse{}) == nil {
				return reached
			}
			connection.Close()
		}
		time.Sleep(pause)
		if pause < 10*time.Millisecond {
			pause += time.Millisecond
		}
	}
}

func (called *function) invoke(request *invokeRequest) (*invokeResponse, error) {
	response := &invokeResponse{}
	return response, called.call("Function.Invoke", request, response)
}

// call waits for the answer. An error that is no refusal says that the connection is broken.
func (called *function) call(method string, request, response any) error {
	called.calls++
	if err := called.encoder.Encode(&callHeader{method, called.calls}); err != nil {
		return err
	}
	if err := called.encoder.Encode(request); err != nil {
		return err
	}
	if err := called.buffer.Flush(); err != nil {
		return err
	}
	var header answerHeader
	if err := called.decoder.Decode(&header); err != nil {
		return err
	}
	if header.Seq != called.calls {
		return fmt.Errorf("an answer to call %d came, and call %d was made", header.Seq, called.calls)
	}
	if header.Error != "" {
		if err := called.decoder.DecodeValue(reflect.Value{}); err != nil { // the body, which is empty
			return err
		}
		return refusal(header.Error)
	}
	return called.decoder.Decode(response)
}
