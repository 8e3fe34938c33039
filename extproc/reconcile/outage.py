"""A site that is down: noticed after a few names, so that not each of thousands is waited for."""

from __future__ import annotations

from typing import Final

from extproc.oci.reference import Name
from extproc.registry.error import Misconfigured, RegistryError, Unreachable

OF_THE_SITE: Final = (Unreachable, Misconfigured)
"""Errors that say nothing of the name: those of a site, its token endpoint or our account."""
_LEAST: Final = 3


class Outage:
    """Names that failed one after the other by errors of the site. They are no errors of their own before another
    name is answered: if none is, they are left for the next run."""

    def __init__(self, concurrency: int) -> None:
        # One more than may have been hit by the same hiccup.
        self._most = max(_LEAST, concurrency + 1)
        self._failed: dict[Name, RegistryError] = {}

    def __contains__(self, name: Name) -> bool:
        return name in self._failed

    def failed(self, name: Name, error: RegistryError, kept: str) -> None:
        """One more. `kept`: what the message says of the names before. Raises an error of the same kind when it is
        the site that is down."""
        self._failed[name] = error
        count = len(self._failed)
        if count >= self._most:
            raise type(error)(f"{error}; so it went with {count} names in a row: the run ends{kept}", error.status)

    def over(self) -> dict[Name, RegistryError]:
        """A name was answered, or there are no more: those that failed, once."""
        failed, self._failed = self._failed, {}
        return failed
