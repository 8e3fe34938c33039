"""HTTP/2's server side without I/O of its own: bytes in, calls and bytes out (RFC 9113, RFC 7541).

    connection.py   one connection: frames, streams, flow control, what a peer may do and how often
    stream.py       what is known of one stream, and who hears what comes on it
    headers.py      header blocks to requests, remembered while HPACK's dynamic table is empty
    request.py      what a request's headers must be, and what of them is kept
    traceparent.py  the trace context among them
    frame.py        frames as they are sent, and their numbers
    limits.py       what one connection may cost

What is not here, for nobody who calls us needs it: the client's side, server push, priorities (read and left alone).
"""
