"""Free loopback ports that stay ours, also between the stop and the restart of a program.

Each port is held by a bound socket that never listens. Linux lets a program with SO_REUSEADDR listen on it (Go,
Redis, Envoy and asyncio all set it), refuses connections while none does, and gives the port to nobody who asks
for a free one.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


class Ports:
    """Distinct free ports, held until `close`."""

    def __init__(self) -> None:
        self._holders: list[socket.socket] = []

    def take(self) -> int:
        """One more port."""
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((HOST, 0))
        except OSError:
            holder.close()
            raise
        self._holders.append(holder)
        port: int = holder.getsockname()[1]
        return port

    def close(self) -> None:
        """Give all ports back."""
        while self._holders:
            self._holders.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
