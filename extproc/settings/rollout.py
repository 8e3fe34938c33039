"""How far decisions are carried out, and for which names."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from extproc.oci.name_pattern import NamePattern
from extproc.settings.section import Section


def _listed(value: Any) -> Any:
    """From the environment: separated by commas, or as JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is not JSON: {error}; give a list of patterns") from error
    return [part for pattern in value.split(",") if (part := pattern.strip())]


def _pattern(text: str) -> str:
    return NamePattern(text)


Patterns = Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(_listed), NoDecode]


class Rollout(Section):
    """How far decisions are carried out, and for which names: for adopting this step by step, and for leaving it
    ([rollout.md](rollout.md))."""

    mode: Literal["serve", "observe", "primary-only"] = "serve"
    """serve: as decided. observe: all is decided and recorded, but the primary answers every read and judges every
    token. primary-only: as observe, but nothing is decided about reads. Writes are followed in each of them, so that
    `serve` is right from its first request on."""
    include: Patterns = ()
    """Patterns of the names that may be served here; empty: all. `*` is any characters of one segment, `**` as a
    segment any number of segments, also none: `group/*` is what is directly in the group, `group/**` the group and
    all below. In the environment separated by commas, or as JSON."""
    exclude: Patterns = ()
    """Patterns of names that may not, whatever `include` has."""
    percentage: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 100.0
    """Share of the other names that may, chosen by a hash of the name: raising it only adds names, and all workers
    and sites choose the same."""
