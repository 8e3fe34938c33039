"""What every table is made of: its base class, and the kinds of values that more than one has."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the TOML file: an unknown key is an error, for a typo must not become a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Endpoint(Section):
    """`host:port` of a TCP listener, or of a peer."""

    host: str
    """A name or an IP address."""
    port: Port
    """1 to 65535."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `host:port` or `[v6]:port`. Raises ValueError."""
        host, separator, port = text.rpartition(":")
        if not separator or not host or not (port.isascii() and port.isdecimal()):
            raise ValueError(f"{text!r} is not host:port")
        if not 1 <= int(port[:6]) <= 65535:
            raise ValueError(f"{text!r} is not host:port: a port is 1 to 65535")
        return cls(host=host.strip("[]"), port=int(port))

    @property
    def is_ip(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def reached(self) -> Self:
        """How it is reached from this machine: an address to listen on everywhere is on loopback, too."""
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return self.model_copy(update={"host": local})

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _endpoint(value: Any) -> Any:
    return Endpoint.parse(value) if isinstance(value, str) else value


Address = Annotated[Endpoint, BeforeValidator(_endpoint), NoDecode]
"""An endpoint written as `host:port`, which in the environment is not JSON."""


def public_url(url: str) -> str:
    """`url` without user, password and options: the form for messages."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "…"  # what of it is a password, nobody knows
    address, _, options = rest.partition("?")
    if "@" in options and "@" not in address:
        # A password with a question mark in it: nobody knows where the address begins.
        return scheme + separator + "…"
    return scheme + separator + address.rpartition("@")[2]
