"""How both sites are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from extproc.settings.section import Seconds, Section


class Reconcile(Section):
    """Walking all names and comparing both sites, by `geo-extproc reconcile` and on a schedule in `serve`."""

    period: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Seconds between the starts of two runs in `serve`; 0: none. Below `policy.max_staleness` it keeps the lease of
    every tag fresh."""
    names: Literal["catalog", "store", "file", "gitlab"] = "catalog"
    """Where names come from: the primary's catalog (on GitLab for an administrator only), those that the store knows,
    `names_file`, or what GitLab's registry lists below `gitlab_path` (for which GitLab gives no account a token)."""
    names_file: Path | None = None
    """For names = "file": one name on each line."""
    gitlab_path: str = ""
    """For names = "gitlab": the group or project whose repositories are walked."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Names compared at once, and of each up to 16 tags."""
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 200.0
    """Requests a second to each site, at most."""
    timeout: Seconds = 30.0
    """For the answer to one request."""
    blobs: bool = False
    """Also look for every config and layer at the secondary. Needed with `policy.unknown_digests = "primary"`."""

    @model_validator(mode="after")
    def _source(self) -> Self:
        if self.names == "file" and self.names_file is None:
            raise ValueError('names is "file" but names_file is not given: name the file, or use another source')
        if self.names == "gitlab" and not self.gitlab_path:
            raise ValueError('names is "gitlab" but gitlab_path is empty: name the group or project')
        return self
