// A program that answers pings and has no Invoke: no function.
package main

import (
	"log"
	"net"
	"net/rpc"
	"os"

	"scf.test/functions/cloudfunction"
)

type Function struct{}

func (*Function) Ping(_ *cloudfunction.PingRequest, _ *cloudfunction.PingResponse) error { return nil }

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("_LAMBDA_SERVER_PORT"))
	if err != nil {
		log.Fatal(err)
	}
	if err := rpc.Register(&Function{}); err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}
