"""What one exchange costs: the processor's CPU, and the time that it adds to a request, beside two yardsticks.

side.py       what is compared: no processor, noop on grpc.aio, an echo in Go, ours on each transport
edge.py       each side's own Envoy with one worker, and one registry for all
load.py       wrk, and what it found
request.py    the requests: without a token, by digest, by tag, a write
measure.py    rounds in turns, and their medians
"""
