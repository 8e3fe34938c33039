"""The processor's own endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from extproc.settings.section import Address, Endpoint, Seconds, Section


class Server(Section):
    """The processor itself."""

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes, each with a socket of its own. More than one needs a shared store."""
    socket_dir: Path = Path("/run/geo-extproc")
    """Worker N listens on the Unix socket `worker-N.sock` in this directory (mode 0700)."""
    socket_access: Literal["owner", "group"] = "owner"
    """Who may connect to the sockets: the processor's user alone (mode 0600), or with `group` also the group of
    `socket_dir` (0660, and 0750 for a directory that is made), for an Envoy that runs as another user."""
    address: Address | None = None
    """Instead of sockets: worker N listens on this host and port + N, in plain text. Loopback or mesh only."""
    max_concurrent_streams: Annotated[int, Field(ge=1)] = 1000
    """Exchanges at once in one worker; beyond it the request goes to the primary."""
    drain: Seconds = 5.0
    """On SIGTERM: how long a worker answers NOT_SERVING before it stops taking exchanges."""
    transport: Literal["grpcio", "fastlane"] = "grpcio"
    """What carries the streams of Envoy: gRPC's library, or `fastlane`, which speaks gRPC on the event loop itself
    for a fraction of the CPU. Both in plain text."""

    @model_validator(mode="after")
    def _ports(self) -> Self:
        if self.address is not None and self.address.port + self.workers - 1 > 65535:
            raise ValueError(
                f"address {self.address} leaves no port for each of {self.workers} workers: choose a lower port"
            )
        return self

    def socket(self, worker: int) -> Path:
        return self.socket_dir / f"worker-{worker}.sock"


class Admin(Section):
    """HTTP for health, status, notifications, and the copies of writes that no worker saw."""

    address: Address = Endpoint(host="127.0.0.1", port=9001)
    """Envoy's copies come here too, and its status names repositories: reachable for Envoy, the registries and
    operators, and for nobody who must not make this site forget."""
    secret_file: Path | None = None
    """Each line of this file is a secret that lets somebody read the status page, `/status` and `/metrics`: as a
    bearer token, or as a password with any user name. Without it whoever reaches the address may read them."""
