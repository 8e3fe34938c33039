"""gRPC over HTTP/2 on the event loop itself: no thread, no hand-over, for the one method and its health checks.

Why: a C library with threads of its own costs an exchange several times what deciding it does
(docs/performance.md). Plain text only, so on Unix sockets and loopback; grpcio is the transport for all else, and the
reference: tests/transport has one suite for both.
"""
