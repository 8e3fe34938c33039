"""Who may come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from extproc.settings.section import Section, public_url


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

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "token":
            if not self.keys:
                raise ValueError(
                    'keys is empty: name the file with the issuer\'s public key, or set mode = "passthrough"'
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
