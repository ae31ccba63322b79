// The helper speaks net/rpc in gob to a Go function, as the platform does, so that the harness need not know gob.
//
// Its one argument is the port of the function on the loopback. It writes {"ready":true} once the function has answered
// a ping, then one line of JSON for each line of JSON that it reads: what the function made of that event. It ends with
// its standard input, with its parent, and when the connection to the function breaks.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"
	"unicode/utf8"
)

// invocation is a line of the standard input. The keys of its context are those of the Python handlers' context.
type invocation struct {
	Payload        string  `json:"payload"`
	TimeoutSeconds float64 `json:"timeout_seconds"` // real, from the call on
	Environment    string  `json:"environment"`     // a JSON object
	Context        struct {
		RequestID          string  `json:"request_id"`
		Namespace          string  `json:"namespace"`
		FunctionName       string  `json:"function_name"`
		FunctionVersion    string  `json:"function_version"`
		MemoryLimitInMb    float64 `json:"memory_limit_in_mb"`
		TimeLimitInMs      float64 `json:"time_limit_in_ms"`
		TencentcloudRegion string  `json:"tencentcloud_region"`
		TencentcloudAppID  string  `json:"tencentcloud_appid"`
		TencentcloudUin    string  `json:"tencentcloud_uin"`
	} `json:"context"`
}

// answer is a line of the standard output; one of its fields is set.
type answer struct {
	Ready   bool     `json:"ready,omitempty"`
	Payload *string  `json:"payload,omitempty"`
	Bytes   []byte   `json:"payload_base64,omitempty"` // a payload that is no UTF-8
	Error   *failure `json:"error,omitempty"`
	Broken  string   `json:"broken,omitempty"`
}

type failure struct {
	Message    string  `json:"message"`
	Type       string  `json:"type"`
	Stack      []frame `json:"stack"`
	ShouldExit bool    `json:"should_exit"`
}

type frame struct {
	Path  string `json:"path"`
	Line  int32  `json:"line"`
	Label string `json:"label"`
}

func init() {
	// The kernel keeps this for each thread: init runs on the first one, which lives as long as the process.
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: %s PORT", os.Args[0])
	}
	port, err := strconv.ParseUint(os.Args[1], 10, 16)
	if err != nil {
		fail("%q is no port", os.Args[1])
	}
	invocations := make(chan invocation, 1)
	go read(invocations) // ends the process at the end of its input, whatever is under way

	function := reach(int(port))
	tell(answer{Ready: true})
	for asked := range invocations {
		response, err := function.invoke(request(&asked, time.Now()))
		answered := told(response, err)
		tell(answered)
		if answered.Broken != "" {
			return
		}
	}
}

func read(invocations chan<- invocation) {
	decoder := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<16))
	for {
		var next invocation
		err := decoder.Decode(&next)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the agent is gone, or was killed as it wrote
			os.Exit(0)
		}
		if err != nil {
			fail("the input is not understood: %v", err)
		}
		invocations <- next
	}
}

// request is what the platform sends for an invocation that begins now. What the platform puts into the fields that are
// not set here or stand for something else is not documented: a client context comes with no async event.
func request(asked *invocation, now time.Time) *invokeRequest {
	deadline := now.Add(time.Duration(asked.TimeoutSeconds * float64(time.Second)))
	context := &asked.Context
	return &invokeRequest{
		Payload:               []byte(asked.Payload),
		RequestId:             context.RequestID,
		TraceId:               context.RequestID,
		Deadline:              timestamp{Seconds: deadline.Unix(), Nanos: int64(deadline.Nanosecond())},
		InvokedFunctionUnique: context.FunctionName,
		Namespace:             context.Namespace,
		FunctionName:          context.FunctionName,
		FunctionVersion:       context.FunctionVersion,
		MemoryLimitInMb:       int32(context.MemoryLimitInMb),
		TimeLimitInMs:         int32(context.TimeLimitInMs),
		Environment:           asked.Environment,
		TencentcloudRegion:    context.TencentcloudRegion,
		TencentcloudAppID:     context.TencentcloudAppID,
		TencentcloudUin:       context.TencentcloudUin,
	}
}

func told(response *invokeResponse, err error) answer {
	var refused refusal
	switch {
	case errors.As(err, &refused):
		return answer{Error: &failure{Message: string(refused), Type: "rpc.ServerError", Stack: []frame{}}}
	case err != nil:
		return answer{Broken: err.Error()}
	case response.Error != nil:
		stack := make([]frame, 0, len(response.Error.StackTrace))
		for _, each := range response.Error.StackTrace {
			stack = append(stack, frame{each.Path, each.Line, each.Label})
		}
		return answer{Error: &failure{response.Error.Message, response.Error.Type, stack, response.Error.ShouldExit}}
	case !utf8.Valid(response.Payload):
		return answer{Bytes: response.Payload}
	default:
		text := string(response.Payload)
		return answer{Payload: &text}
	}
}

func tell(line answer) {
	output := bufio.NewWriterSize(os.Stdout, 1<<16)
	encoder := json.NewEncoder(output)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		fail("%v", err)
	}
	if err := output.Flush(); err != nil { // nobody listens any more
		os.Exit(0)
	}
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}
