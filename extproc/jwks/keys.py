"""Files and what was fetched, put together: one change at a time, and a broken one changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from extproc.auth.keys import KeyDocument, KeySet

log = structlog.get_logger()


class IssuerKeys:
    """All keys that are known now, for whoever verifies by them."""

    def __init__(self, files: Sequence[KeyDocument], use: Callable[[KeySet], None]) -> None:
        """`use` gets each new set, the first one at once. Raises auth.keys.KeysInvalid."""
        self._files = tuple(files)
        self._fetched: KeyDocument | None = None
        self._use = use
        self._current = _together(self._files, None)
        use(self._current)

    @property
    def count(self) -> int:
        """Names by which keys are found; 0: none is known, and the primary judges every token."""
        return len(self._current.keys)

    @property
    def documents(self) -> tuple[KeyDocument, ...]:
        """What the files had in them, and what was fetched."""
        return self._files if self._fetched is None else (*self._files, self._fetched)

    def replace_files(self, files: Sequence[KeyDocument]) -> None:
        """Raises auth.keys.KeysInvalid, and then nothing has changed."""
        _together(tuple(files), None)  # they must do alone: what was fetched may be dropped one day
        self._put_together(tuple(files), self._fetched)

    def replace_fetched(self, document: KeyDocument | None) -> None:
        """None: what was fetched is too old. Raises auth.keys.KeysInvalid, and then nothing has changed."""
        self._put_together(self._files, document)

    def _put_together(self, files: tuple[KeyDocument, ...], fetched: KeyDocument | None) -> None:
        new = _together(files, fetched)
        self._files, self._fetched = files, fetched
        if new != self._current:
            self._current = new
            self._use(new)
            log.info("the issuer's keys have changed", names=len(new.keys), skipped=new.skipped)


def _together(files: tuple[KeyDocument, ...], fetched: KeyDocument | None) -> KeySet:
    documents = files if fetched is None else (*files, fetched)
    return KeySet.of(documents) if documents else KeySet.none()
