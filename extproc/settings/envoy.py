"""What Envoy's configuration is rendered from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from extproc.settings.section import Address, Endpoint, Seconds, Section


class Envoy(Section):
    """What `geo-extproc envoy-config` renders."""

    listen: Address = Endpoint(host="0.0.0.0", port=5000)  # noqa: S104 - the public entry
    """Where clients come in: the unified URL leads here."""
    admin: Address = Endpoint(host="127.0.0.1", port=9901)
    """Envoy's own admin interface."""
    status: Address | None = None
    """Where Envoy answers probes (`/ready`) and Prometheus (`/stats/prometheus`) with these pages of its admin
    interface, and with nothing else of it. By default nowhere."""
    certificate: Path | None = None
    """PEM chain for TLS on the listener; plain HTTP when not given."""
    private_key: Path | None = None
    """PEM key of `certificate`."""
    fallback: Literal["composite", "priorities"] = "composite"
    """How a read falls back: Envoy's composite cluster (Envoy 1.40 or later), or priorities of one cluster."""
    message_timeout: Seconds = 0.2
    """How long Envoy waits for the processor. Then the request goes to the primary, unseen. More than two
    `store.budget`."""
    per_try_timeout: Seconds = 5.0
    """How long the secondary may take to send response headers before the primary is asked."""
    connect_timeout: Seconds = 1.0
    """For a TCP connection to a site."""
    idle_timeout: Seconds = 3600.0
    """A stream with no byte moving for this long is closed."""
    max_connections: Annotated[int, Field(ge=1)] = 4096
    """Connections and requests in flight to each site."""
    health_interval: Seconds = 5.0
    """Between two looks at a site."""
    health_path: str = "/v2/"
    """What is asked of a site to see that it lives; a 401 counts as life."""
    response_headers: bool = True
    """Add x-geo-site and x-geo-reason to responses."""
    access_log: str = "/dev/stdout"
    """File for the JSON access log; empty for none."""
    xff_num_trusted_hops: Annotated[int, Field(ge=0)] = 0
    """Proxies in front whose X-Forwarded-* headers are kept."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together: give both or neither")
        return self
