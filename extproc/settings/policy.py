"""What the decision may do with evidence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from extproc.settings.section import Seconds, Section


class Policy(Section):
    """What the decision may do with evidence."""

    max_staleness: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    """Longest age of a tag's lease. 0: tags always ask the primary, bytes still come from here."""
    unknown_digests: Literal["secondary", "primary"] = "secondary"
    """secondary: ask it, fall back to the primary in the same request. primary: serve only what is known present, by
    the secondary's notifications or reconcile; without both, nothing new is served here."""
    serve_stale: Literal["never", "if-primary-down"] = "never"
    """if-primary-down: where the primary fails, the secondary answers reads by digest of what is not known present or
    deleted, and tags whose lease has run out, by the lease's digest, with a `Warning`
    ([primary-away.md](primary-away.md))."""
    absent_ttl: Seconds = 2.0
    """How long a digest that the secondary did not serve goes to the primary at once."""
    present_recheck: Seconds = 60.0
    """A present digest is looked at again after this, so one lost to garbage collection is noticed."""
    write_timeout: Seconds = 120.0
    """Longest life of a manifest PUT or a DELETE; Envoy ends it then, and its mark a little later."""
