"""Where evidence is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from extproc.settings.section import Seconds, Section, public_url


class Store(Section):
    """Where evidence is kept."""

    url: str = "memory://"
    """memory:// (one process), redis://host:port/db, rediss://… or unix:///path."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")] = "geo"
    """Begins every key; one for each site that shares a Redis."""
    username: str = ""
    """The Redis user; its `default` when empty."""
    password_file: Path | None = None
    """A file with the password alone."""
    ca: Path | None = None
    """For rediss://: CA certificates; the system's when not given."""
    budget: Seconds = 0.05
    """How long a request waits for the store. Then the primary serves it."""
    breaker_failures: Annotated[int, Field(ge=1)] = 10
    """Failures in a row after which the store is left alone."""
    breaker_pause: Seconds = 0.5
    """How long it is left alone before one request probes it again."""
    name_ttl: Seconds = 7 * 86400.0
    """A name without traffic expires after this, but never before its marks and tombstones."""

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: str) -> str:
        if url != "memory://" and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError(f"url {public_url(url)!r} is not memory://, redis://…, rediss://… or unix://…")
        return url

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if self.ca is not None and not self.url.startswith("rediss://"):
            raise ValueError(f"ca is given but url {self.public_url!r} has no TLS: remove ca or use rediss://")
        return self

    @property
    def public_url(self) -> str:
        """`url` without user, password and options: the form for messages."""
        return public_url(self.url)
