"""What an exchange on the fast lane spends its CPU on: one layer after the other is put in, in one process and
without sockets to a client, and what each adds is the difference.

    .venv/bin/python -m bench.exchange.breakdown [--exchanges 20000] [--rounds 5] [--at-once 8]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import hpack
import uvloop
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from bench.exchange.request import DIGEST, NAMES, Kind, Requests
from extproc import settings
from extproc.auth.challenge import Challenge
from extproc.auth.token import TokenVerifier
from extproc.evidence.backlog import Backlog
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.memory import MemoryStore
from extproc.evidence.redis import connect
from extproc.evidence.store import Store
from extproc.oci.reference import Digest, Name
from extproc.processor.codec import decode, encode_route
from extproc.processor.stream import Recorder, Streams
from extproc.routing.message import RequestHead, ResponseHead
from extproc.routing.policy import Policy
from extproc.routing.router import Routed, Router
from extproc.telemetry.distribution import QuickDistributions
from extproc.telemetry.recorder import ExchangeRecorder
from extproc.telemetry.sampling import HeadSampling
from extproc.transport.fastlane.patience import Patience
from extproc.transport.fastlane.peer import Peer
from extproc.transport.fastlane.server import FastlaneServer
from extproc.transport.http2 import frame
from extproc.transport.http2.limits import Limits
from extproc.transport.service import METHOD, NewStream
from tests.auth.issuer import AUDIENCE, ISSUER, KID, key_set
from tests.support.messages import request_head
from tests.support.redis_server import RedisServer

_ANSWER: Final = encode_route([("x-geo-route", "secondary"), ("x-geo-reason", "digest-present")], observe=False)
_BEFORE: Final = (
    (":method", "POST"),
    (":path", METHOD),
    (":authority", "geo_extproc"),
    (":scheme", "http"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)
"""What Envoy 1.40 calls with, before `traceparent`."""
_BEHIND: Final = (
    ("tracestate", ""),
    ("x-envoy-internal", "true"),
    ("x-forwarded-for", "192.0.2.2"),
    ("x-envoy-expected-rq-timeout-ms", "200"),
)
_CHALLENGE: Final = Challenge("https://issuer/", AUDIENCE)


class Unrecorded:
    """A recorder of nothing."""

    traced = False

    def deciding(self, head: RequestHead, traceparent: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing ends."""

    def decided(self, routed: Routed) -> None:
        """Nothing is noted."""

    def observing(self, routed: Routed, head: ResponseHead) -> Self:
        return self


class Constant:
    """Answers without a look."""

    def receive(self, data: bytes) -> bytes:
        return _ANSWER


class Decoded:
    """Answers when it has read the message."""

    def receive(self, data: bytes) -> bytes:
        decode(data)
        return _ANSWER


class Transport:
    """Counts answers, and sends them nowhere."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.missing = 0

    def write(self, data: bytes) -> None:
        self.missing -= data.count(b"x-geo-reason")
        if self.missing <= 0:
            self.answered.set()

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, *, high: int) -> None:
        """There is no buffer."""


def frames(kind: Kind, exchanges: int) -> list[tuple[bytes, bytes]]:
    """Of each exchange: what Envoy sends to begin it, and its reset once it has the answer."""
    requests = Requests(kind)
    heads = []
    for number in range(NAMES):
        headers = {name.lower(): value for name, value in requests.headers(number).items() if name != "User-Agent"}
        heads.append(request_head(requests.method, requests.path(number), *headers.items()))
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    # Without a table a field's code does not depend on those before it.
    before, behind = encoder.encode(_BEFORE), encoder.encode(_BEHIND)
    found = []
    for number in range(exchanges):
        stream = 2 * number + 1
        traceparent = f"00-{number + 1:032x}-{number + 1:016x}-00"
        block = before + encoder.encode([("traceparent", traceparent)]) + behind
        message = heads[number % NAMES]
        data = b"\0" + len(message).to_bytes(4) + message
        begin = frame.headers(stream, block, end=False) + frame.data(stream, data, end=False)
        found.append((begin, frame.rst_stream(stream, frame.ErrorCode.INTERNAL_ERROR)))
    return found


async def cost(new_stream: NewStream, exchanges: int, at_once: int, kind: Kind) -> float:
    """Microseconds of CPU for an exchange."""
    server = FastlaneServer("unix:/nowhere", new_stream, max_streams=1000)
    peer, transport = Peer(server, Limits(), Patience()), Transport()
    peer.connection_made(cast("asyncio.Transport", transport))
    opening = frame.PREFACE + frame.settings({}) + frame.SETTINGS_ACK
    peer.data_received(opening + frame.window_update(0, 2**30))
    script = frames(kind, exchanges)
    warm = max(exchanges // 10, at_once)
    for part in (script[:warm], script[warm:]):
        begun = time.process_time()
        for start in range(0, len(part), at_once):
            batch = part[start : start + at_once]
            transport.missing += len(batch)
            transport.answered.clear()
            peer.data_received(b"".join(begin for begin, _ in batch))
            if transport.missing > 0:
                await transport.answered.wait()
            peer.data_received(b"".join(end for _, end in batch))
        took = time.process_time() - begun
    return took / len(part) * 1e6


async def layers(folder: Path, *, exchanges: int, rounds: int, at_once: int) -> dict[str, float]:
    """What each adds, by its name: medians over the rounds, in microseconds."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis"))
        raw = connect(settings.Store(url=redis.url), absent_ttl=5.0)
        stack.push_async_callback(raw.close)
        memory = MemoryStore(absent_ttl=5.0)
        for store in (raw, memory):
            for number in range(NAMES):
                await store.secondary_has(Name(f"group-{number}/project/app"), [Digest(DIGEST)])
        guarded = GuardedStore(raw, budget=1.0, breaker=Breaker(failures=5, pause=1.0))
        recorder = ExchangeRecorder(
            TracerProvider().get_tracer("bench"),
            MeterProvider([InMemoryMetricReader()]).get_meter("bench"),
            HeadSampling(parent_based=True),
            QuickDistributions(),
        )

        def deciding(store: Store, recorder: Recorder) -> NewStream:
            verifier = TokenVerifier(key_set(kid=KID), issuer=ISSUER, audience=AUDIENCE)
            router = Router(
                verifier=verifier,
                facts=store,
                writes=Backlog(store),
                policy=Policy(),
                now=time.time,
                asking=store.asking if isinstance(store, GuardedStore) else None,
            )
            return Streams(router, _CHALLENGE, recorder).new

        unrecorded = cast("Recorder", Unrecorded())
        sides: dict[str, tuple[Kind, NewStream]] = {
            "HTTP/2 and gRPC": (Kind.DIGEST, lambda _: Constant()),
            "message read": (Kind.DIGEST, lambda _: Decoded()),
            "message without a token read": (Kind.TOKEN, lambda _: Decoded()),
            "token: path, decision, answer": (Kind.TOKEN, deciding(memory, unrecorded)),
            "digest: path, token, decision, evidence in memory": (Kind.DIGEST, deciding(memory, unrecorded)),
            "metrics and sampling": (Kind.DIGEST, deciding(memory, recorder)),
            "evidence in Redis": (Kind.DIGEST, deciding(guarded, recorder)),
        }
        found: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, (kind, new_stream) in sides.items():
                found[name].append(await cost(new_stream, exchanges, at_once, kind))
    middle = {name: statistics.median(values) for name, values in found.items()}
    read = middle["message read"]
    digest = middle["digest: path, token, decision, evidence in memory"]
    return {
        "HTTP/2 and gRPC": middle["HTTP/2 and gRPC"],
        "message read": read - middle["HTTP/2 and gRPC"],
        "token: path, decision, answer": middle["token: path, decision, answer"]
        - middle["message without a token read"],
        "digest: path, token, decision, evidence in memory": digest - read,
        "metrics and sampling": middle["metrics and sampling"] - digest,
        "evidence in Redis instead": middle["evidence in Redis"] - middle["metrics and sampling"],
        "digest, all of it": middle["evidence in Redis"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--exchanges", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=8, help="exchanges that begin in one turn of the loop")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="geo-bench-") as folder:
        found = uvloop.run(
            layers(Path(folder), exchanges=chosen.exchanges, rounds=chosen.rounds, at_once=chosen.at_once)
        )
    print(json.dumps({name: round(value, 1) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
