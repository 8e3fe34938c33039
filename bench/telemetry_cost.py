"""What telemetry costs the processor: CPU of a worker for each exchange, with and without, in one run.

Two processors serve side by side, each with one worker, a Redis of its own and real tokens. One sends metrics and
spans to a collector (OTLP over gRPC) and has one exchange in a hundred traced, as Envoy would tell it; the other has
OpenTelemetry's SDK switched off (OTEL_SDK_DISABLED). They are asked in turns for the same: a digest, with a token
that was seen before. The figure is the worker's own CPU, user and system, threads included, by /proc.

    .venv/bin/python -m bench.telemetry_cost [--rounds 15] [--exchanges 2000] [--most 1.10]

Ends with 1 when the ratio of the medians is above `--most`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import grpc

from extproc.transport.service import METHOD
from tests.auth.issuer import AUDIENCE, ISSUER, KID, claims, jwk, token
from tests.support.messages import Reply, request_head
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.program import Program
from tests.support.redis_server import RedisServer

NAME: Final = "a/b"
DIGEST: Final = "sha256:" + "a" * 64
TRACED_OF: Final = 100
AT_ONCE: Final = 8
"""Exchanges under way."""
_TICK: Final = os.sysconf("SC_CLK_TCK")


class Side:
    """One of the two processors."""

    def __init__(self, program: Program, channel: grpc.aio.Channel) -> None:
        self.program = program
        self._call: Any = channel.stream_stream(METHOD)
        (self._worker,) = program.workers()
        now = int(time.time())
        made = token(claims(iat=now, nbf=now - 5, exp=now + 3600))
        self._head = request_head("GET", f"/v2/{NAME}/blobs/{DIGEST}", ("authorization", f"Bearer {made}"))
        self.costs: list[float] = []
        """Microseconds for an exchange, by round."""

    def cpu(self) -> float:
        """Seconds that its worker has used."""
        fields = Path(f"/proc/{self._worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    async def exchange(self, number: int) -> str:
        sampled = number % TRACED_OF == 0
        traceparent = f"00-{number + 1:032x}-{number + 1:016x}-{'01' if sampled else '00'}"
        call: Any = self._call(metadata=(("traceparent", traceparent),))
        await call.write(self._head)
        reply = Reply.of(await call.read())
        await call.done_writing()
        await call.code()
        return reply.set_headers["x-geo-reason"]

    async def round(self, exchanges: int, first: int) -> None:
        async def some(numbers: range) -> None:
            for number in numbers:
                await self.exchange(number)

        before = self.cpu()
        await asyncio.gather(*(some(range(first + start, first + exchanges, AT_ONCE)) for start in range(AT_ONCE)))
        self.costs.append((self.cpu() - before) / exchanges * 1e6)


async def measured(rounds: int, exchanges: int) -> tuple[list[float], list[float], int]:
    """Costs with telemetry and without, by round; and how many spans came."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="geo-bench-")))
        receiver = await stack.enter_async_context(OtlpReceiver())
        sides = []
        for name, environment in (("with", {}), ("without", {"OTEL_SDK_DISABLED": "true"})):
            own = folder / name
            own.mkdir()
            (own / "keys.json").write_text(json.dumps({"keys": [jwk("rsa", kid=KID)]}))
            redis = stack.enter_context(RedisServer(own / "redis"))
            auth = (
                f'auth.realm = "https://issuer/"\nauth.issuer = "{ISSUER}"\nauth.service = "{AUDIENCE}"\n'
                'auth.keys = ["keys.json"]\n'
            )
            settings = (
                f'store.url = "{redis.url}"\nstore.budget = 1.0\nenvoy.message_timeout = 3\nserver.workers = 1\n'
                f'telemetry.exporter = "otlp"\ntelemetry.otlp_endpoint = "http://127.0.0.1:{receiver.grpc_port}"\n'
            )
            os.environ.update(environment)
            try:
                program = stack.enter_context(Program(own, settings, auth=auth))
            finally:
                for variable in environment:
                    del os.environ[variable]
            await asyncio.to_thread(program.ready, workers=1)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{program.run}/worker-0.sock"))
            sides.append(Side(program, channel))
        for side in sides:
            reason = await side.exchange(1)
            if not reason.startswith("digest-"):
                raise SystemExit(f"a digest was to be decided on, and the reason is {reason}")
            await side.round(exchanges, 0)
            side.costs.clear()
        for number in range(rounds):
            for side in sides if number % 2 else reversed(sides):
                await side.round(exchanges, number * exchanges)
        with_, without = sides
        return with_.costs, without.costs, len(receiver.spans())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--exchanges", type=int, default=2000)
    parser.add_argument("--most", type=float, default=1.10)
    arguments = parser.parse_args()
    with_, without, spans = asyncio.run(measured(arguments.rounds, arguments.exchanges))
    ratio = statistics.median(with_) / statistics.median(without)
    for name, costs in (("with telemetry", with_), ("without", without)):
        middle, least, most = statistics.median(costs), min(costs), max(costs)
        print(f"{name:15} median {middle:6.1f} µs of CPU an exchange ({least:.1f} to {most:.1f})")
    pairs = statistics.median(one / other for one, other in zip(with_, without, strict=True))
    print(f"{'ratio':15} {ratio:.3f} of the medians, {pairs:.3f} in the median of the rounds")
    print(f"{'spans':15} {spans}, of {arguments.rounds * arguments.exchanges} exchanges, 1 in {TRACED_OF} traced")
    if spans == 0:
        sys.exit("no span came: nothing was traced")
    sys.exit(int(ratio > arguments.most))


if __name__ == "__main__":
    main()
