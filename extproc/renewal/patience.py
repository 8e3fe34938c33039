"""How long the primary is left alone after failures, and what is told of it: one line for each change.

Rules
1. A primary or issuer that does not answer is left alone after `_FAILURES` in a row, ever longer.
2. A refusal may be one name's matter, so each name counts once until somebody is answered, and it takes `_REFUSALS`
   of them to tell that nothing is renewed. They are left alone as early all the same: issuers ban an address that
   fails too often, and all clients of a site may share it.
"""

from __future__ import annotations

import math
from typing import Final

import structlog

from extproc.oci.reference import Name

log = structlog.get_logger()

_FAILURES: Final = 3
"""In a row, of whichever tags."""
_REFUSALS: Final = 10
"""Names refused in a row: then it is a matter of the account."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class Patience:
    """Of one process with one registry. `now` is an argument: seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.left_alone_until = -math.inf
        self._failures = 0
        self._refused: set[Name] = set()
        self._told = False
        """That nothing is renewed."""
        self._refusal_told = False

    def failed(self, name: Name, detail: str, now: float, *, refused: bool) -> None:
        """`refused`: the issuer or the registry answered, and does not let the account in."""
        if refused:
            self._tell_refusal(name, detail)
            if name in self._refused:
                return
            self._refused.add(name)
        self._failures += 1
        if self._failures >= (_REFUSALS if refused else _FAILURES) and not self._told:
            self._told = True
            log.error(
                "leases are not renewed: readers go to the primary when their leases end",
                repository=name,
                detail=detail,
            )
        if self._failures >= _FAILURES and now >= self.left_alone_until:
            pause = _FIRST_PAUSE * 2.0 ** min(self._failures - _FAILURES, 32)
            self.left_alone_until = now + min(pause, _LONGEST_PAUSE)

    def answered(self) -> None:
        if self._told:
            log.info("leases are renewed again")
        self._told = False
        self._failures = 0
        self._refused.clear()
        self.left_alone_until = -math.inf

    def _tell_refusal(self, name: Name, detail: str) -> None:
        if not self._refusal_told:
            self._refusal_told = True
            log.warning(
                "the service account was refused: leases of this name are not renewed, nor are those of others that "
                "refuse it, which are not told; let it pull them, or correct its password",
                repository=name,
                detail=detail,
            )
