// The yardstick: a gRPC server in Go that answers each message of ext_proc with the same bytes, and knows nothing of
// them. Built with Debian's golang-go and golang-google-grpc-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o go_echo main.go
//	go_echo SOCKET ANSWER_FILE
package main

import (
	"io"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/golang/protobuf/proto"
)

// raw passes bytes through, and messages of the health service as they are meant.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error) {
	if message, ok := v.(proto.Message); ok {
		return proto.Marshal(message)
	}
	return *(v.(*[]byte)), nil
}

func (raw) Unmarshal(data []byte, v interface{}) error {
	if message, ok := v.(proto.Message); ok {
		return proto.Unmarshal(data, message)
	}
	*(v.(*[]byte)) = data
	return nil
}

func (raw) Name() string { return "proto" }

func (raw) String() string { return "proto" }

func main() {
	answer, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	process := func(_ interface{}, stream grpc.ServerStream) error {
		for {
			var message []byte
			if err := stream.RecvMsg(&message); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(&answer); err != nil {
				return err
			}
		}
	}
	server := grpc.NewServer(grpc.CustomCodec(raw{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.ext_proc.v3.ExternalProcessor",
		HandlerType: (*interface{})(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "Process", Handler: process, ServerStreams: true, ClientStreams: true,
		}},
	}, struct{}{})
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}
