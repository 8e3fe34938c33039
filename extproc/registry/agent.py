"""Who asks."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

USER_AGENT: Final = f"geo-extproc/{version('geo-extproc')}"
