"""The two registries, and the issuer."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import field_validator, model_validator

from extproc.settings.section import Endpoint, Section, public_url

JWT_AUTH: Final = "/jwt/auth"
"""The issuer's endpoint, as GitLab calls it."""


class Site(Section):
    """One registry, as Envoy reaches it."""

    url: str
    """`http://host:port` or `https://host:port`."""
    host: str = ""
    """Host header towards this site; empty keeps the client's (the unified name)."""
    ca: Path | None = None
    """CA certificates for https; Envoy's system bundle when not given."""
    server_name: str = ""
    """SNI and the DNS name that the certificate must carry; the URL's host when empty."""

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        scheme, separator, rest = url.partition("://")
        authority = rest.rstrip("/")
        if scheme not in {"http", "https"} or not separator or not authority or set("/?#@") & set(authority):
            raise ValueError(f"url {public_url(url)!r} is not http://host:port or https://host:port")
        url = f"{scheme}://{authority}"
        _authority(url)
        return url

    @property
    def tls(self) -> bool:
        return self.url.startswith("https://")

    @property
    def endpoint(self) -> Endpoint:
        return _authority(self.url)


class Sites(Section):
    """The two registries and, where the unified host carries it, the issuer."""

    primary: Site
    """Where everything is written, and what replication reads."""
    secondary: Site
    """The registry beside this Envoy."""
    role: Literal["secondary", "primary"] = "secondary"
    """What this site is. primary: the registry beside this Envoy answers every request, writes too, and the other is
    never asked ([promotion.md](promotion.md))."""
    issuer: Site | None = None
    """When given, /jwt/auth on the listener is routed here, past the processor."""

    @property
    def promoted(self) -> bool:
        return self.role == "primary"

    @model_validator(mode="after")
    def _two(self) -> Self:
        if _identity(self.primary) == _identity(self.secondary):
            raise ValueError(
                f"primary and secondary are both {self.primary.url!r}: give the registry of each site, or the host "
                "by which each is known there"
            )
        return self


def _identity(site: Site) -> tuple[str, int, str, str]:
    """What makes a registry another one: where it is, and by which names it is called there."""
    return site.endpoint.host.lower(), site.endpoint.port, site.host.lower(), site.server_name.lower()


def _authority(url: str) -> Endpoint:
    scheme, _, authority = url.partition("://")
    if ":" not in authority.rpartition("]")[2]:
        authority += ":443" if scheme == "https" else ":80"
    return Endpoint.parse(authority)
