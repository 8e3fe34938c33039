"""Settings that a form cannot be made of."""

from __future__ import annotations


class FormError(Exception):
    """The message is one sentence that names the value and the remedy."""
