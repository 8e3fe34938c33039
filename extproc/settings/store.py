"""Where evidence is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from extproc.settings.section import Seconds, Section, public_url
from extproc.settings.store_url import Kind, StoreUrl


class Store(Section):
    """Where evidence is kept."""

    url: str = "memory://"
    """memory:// (one process), redis://host:port/db, unix:///path, redis+sentinel://host:port,host:port/master/db or
    redis+cluster://host:port,host:port; rediss… instead of redis… with TLS."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "geo"
    """Begins every key; one for each site that shares a Redis. A colon ends it there, in the rights of users too."""
    username: str = ""
    """The Redis user; its `default` when empty."""
    password_file: Path | None = None
    """A file with the password alone."""
    ca: Path | None = None
    """With TLS: CA certificates, and no others are trusted; the system's when not given."""
    certificate: Path | None = None
    """With TLS: the client certificate (PEM) that Redis and Sentinel ask for."""
    private_key: Path | None = None
    """Of `certificate`."""
    sentinel_username: str = ""
    """The user at the Sentinels; their `default` when empty."""
    sentinel_password_file: Path | None = None
    """A file with the password for the Sentinels; without one they are asked without."""
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
    def _parsable(cls, url: str) -> str:
        StoreUrl.parse(url)
        return url

    @model_validator(mode="after")
    def _tls(self) -> Self:
        for key in ("ca", "certificate", "private_key"):
            if getattr(self, key) is not None and not self.where.tls:
                raise ValueError(
                    f"{key} is given but url {self.public_url!r} has no TLS: remove {key} or use rediss://, "
                    "rediss+sentinel:// or rediss+cluster://"
                )
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together: give both or neither")
        return self

    @model_validator(mode="after")
    def _users(self) -> Self:
        where = self.where
        if where.username and self.username:
            raise ValueError(f"username is given, and url {self.public_url!r} has a user too: remove one of them")
        if where.password and self.password_file is not None:
            raise ValueError(
                f"password_file is given, and url {self.public_url!r} has a password too: remove that from the URL"
            )
        for key in ("sentinel_username", "sentinel_password_file"):
            if getattr(self, key) and where.kind is not Kind.SENTINEL:
                raise ValueError(f"{key} is given but url {self.public_url!r} is not redis+sentinel://: remove {key}")
        return self

    @property
    def where(self) -> StoreUrl:
        """`url` in parts."""
        return StoreUrl.parse(self.url)

    @property
    def public_url(self) -> str:
        """`url` without user, password and options: the form for messages."""
        return public_url(self.url)
