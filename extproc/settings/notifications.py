"""What the registries tell us."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from extproc.settings.section import Section


class Notifications(Section):
    """What both registries send to the admin address, at /notifications/primary and /notifications/secondary."""

    secret_file: Path | None = None
    """File with the secret that registries send as `Authorization`, raw or after `Bearer `; one on each line while it
    is being changed. Without it both endpoints refuse everything."""
    max_body: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024
    """Bytes of one request; a larger one is refused with 413."""
