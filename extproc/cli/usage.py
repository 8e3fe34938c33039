"""Arguments that do not fit together."""

from __future__ import annotations


class UsageError(Exception):
    """The message names the arguments and the remedy."""
