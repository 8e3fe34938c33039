"""gRPC's health checking for one worker: serving, or not any more.

Source: gRPC, "GRPC Health Checking Protocol" (grpc.health.v1). Only the server as a whole has a state: the empty
service name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from grpc_health.v1 import health_pb2

CHECK: Final = b"/grpc.health.v1.Health/Check"
WATCH: Final = b"/grpc.health.v1.Health/Watch"
_State = health_pb2.HealthCheckResponse


class Health:
    """What is asked for by service name, and who watches it."""

    def __init__(self) -> None:
        self._serving = False
        self._watchers: set[Callable[[bytes], None]] = set()

    def change(self, *, serving: bool) -> None:
        if serving == self._serving:
            return
        self._serving = serving
        for watcher in list(self._watchers):
            watcher(self._state())

    def check(self, request: bytes) -> bytes | None:
        """The answer to Check; None for a service that is not known. Raises ValueError for what is no request."""
        return self._state() if _service(request) == "" else None

    def watch(self, request: bytes, watcher: Callable[[bytes], None]) -> bytes:
        """The state now, as Watch tells it; `watcher` hears of each change, until `unwatch`.

        Raises ValueError for what is no request.
        """
        if _service(request) != "":
            return _message(_State.SERVICE_UNKNOWN)
        self._watchers.add(watcher)
        return self._state()

    def unwatch(self, watcher: Callable[[bytes], None]) -> None:
        self._watchers.discard(watcher)

    def _state(self) -> bytes:
        return _message(_State.SERVING if self._serving else _State.NOT_SERVING)


def _message(state: int) -> bytes:
    encoded: bytes = _State(status=state).SerializeToString()
    return encoded


def _service(request: bytes) -> str:
    try:
        name: str = health_pb2.HealthCheckRequest.FromString(request).service
    except Exception as error:  # protobuf's own, and that package is known in the codec only
        raise ValueError("this is no HealthCheckRequest") from error
    return name
