"""Who we are when we ask the registries ourselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from extproc.settings.section import Seconds, Section


class ServiceAccount(Section):
    """An account of the token issuer that may pull, for reconcile and for renewing leases. None by default."""

    username: str = ""
    """Its name; without it registries are asked without a token, and no lease is renewed."""
    password_file: Path | None = None
    """A file with its password or access token alone."""
    renew: bool = True
    """Renew the leases of tags that are read often, before they are too old and after a push: the reader never waits
    for the primary."""
    renew_tags: Annotated[int, Field(ge=1)] = 1000
    """Tags that one worker keeps fresh; those read last."""
    renew_idle: Seconds = 600.0
    """A tag not read for this long is no longer renewed."""
    renew_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0
    """Renewals a second in one worker, at most."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("username and password_file go together: give both or neither")
        return self
