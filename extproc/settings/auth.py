"""Who may come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from extproc.settings.section import Seconds, Section, public_url


class Auth(Section):
    """The registry token (distribution token specification)."""

    mode: Literal["token", "passthrough"] = "token"
    """passthrough: for registries without a token issuer; both registries judge alone."""
    realm: str = ""
    """The token endpoint's URL, as clients reach it: `https://gitlab.example.com/jwt/auth`."""
    service: str = "container_registry"
    """The audience of tokens and the challenge's `service`."""
    issuer: str = "gitlab-issuer"
    """The `iss` claim that tokens must carry."""
    keys: Annotated[tuple[Path, ...], NoDecode] = ()
    """Files: PEM certificates, PEM public keys, or a JWKS. In the environment separated by commas, or as JSON."""
    keys_url: str = ""
    """The issuer's JWKS by https (http on loopback only), fetched by one process for all workers; beside or instead
    of `keys`."""
    keys_ca: Path | None = None
    """CA certificates for `keys_url`; the system's when not given."""
    keys_refresh: Seconds = 300.0
    """Between two fetches of `keys_url`."""
    keys_min_interval: Seconds = 10.0
    """Least time between two fetches, after a failure and when tokens name a key that is not known."""
    keys_max_age: Seconds = 86400.0
    """How long the last good set from `keys_url` is used while it cannot be fetched. Then the primary judges its
    tokens."""
    leeway: Annotated[float, Field(ge=0, le=300)] = 60.0
    """Allowed clock difference on `exp` and `nbf`."""
    cache_size: Annotated[int, Field(ge=1)] = 10_000
    """Verified tokens remembered by a worker."""

    @field_validator("keys", mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError as error:
                raise ValueError(f"keys {value!r} is not JSON: {error}; give a list of paths") from error
        return [part for path in value.split(",") if (part := path.strip())]

    @field_validator("keys_url")
    @classmethod
    def _keys_url(cls, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not (url.isascii() and url.isprintable()):
            raise ValueError(f"keys_url {public_url(url)!r} is not a URL: give where the issuer's JWKS is, by https")
        if parts.username is not None or parts.fragment:
            raise ValueError(f"keys_url {public_url(url)!r} has a user or a fragment: a JWKS is public, remove that")
        if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError(
                f"keys_url {public_url(url)!r} is not https: whoever is on the way could give keys of their own; "
                "give https, or a file in keys"
            )
        return url

    @model_validator(mode="after")
    def _fetching(self) -> Self:
        if self.keys_ca is not None and not self.keys_url.startswith("https://"):
            raise ValueError("keys_ca is given but keys_url has no TLS: remove keys_ca or give keys_url by https")
        if self.keys_min_interval > self.keys_refresh:
            raise ValueError(
                f"keys_min_interval {self.keys_min_interval:g} is longer than keys_refresh {self.keys_refresh:g}: "
                "lower it"
            )
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "token":
            if not self.keys and not self.keys_url:
                raise ValueError(
                    "keys is empty: name the file with the issuer's public key, give keys_url, or set "
                    'mode = "passthrough"'
                )
            if not (
                self.realm.startswith(("http://", "https://")) and self.realm.isascii() and self.realm.isprintable()
            ):
                raise ValueError(f"realm {self.realm!r} is not a URL: give the token endpoint as clients reach it")
            if "@" in self.realm.split("/")[2]:
                raise ValueError(f"realm {public_url(self.realm)!r} has a user, and clients are told it: remove that")
            if not (self.service and self.service.isascii() and self.service.isprintable()):
                raise ValueError(f"service {self.service!r} is not printable ASCII: give the audience of tokens")
        return self
