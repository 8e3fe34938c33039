"""The form of the hot path that runs: its modules as mypyc compiled them for a wheel, or as they are written."""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec


def is_compiled() -> bool:
    """All of its modules are, or none; this is the one that costs least to find."""
    found = find_spec("extproc.oci.parse")
    return found is not None and isinstance(found.loader, ExtensionFileLoader)
