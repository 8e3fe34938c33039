"""A secret that is sent along with requests: read once, compared without telling how much of it was right."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Final

from extproc.settings import SettingsError

_BEARER: Final = b"bearer "


class Secret:
    """One or, while it is being changed, several values that are right."""

    def __init__(self, values: tuple[bytes, ...]) -> None:
        self._hashes = tuple(map(_hash, values))

    @classmethod
    def load(cls, file: Path, setting: str, without: str) -> Secret:
        """Each line that is not empty is one. Raises SettingsError, which names `setting` and says what is when it
        is not set (`without`)."""
        try:
            lines = file.read_bytes().splitlines()
        except OSError as error:
            raise SettingsError(
                f"cannot read {setting} {str(file)!r}: {error.strerror}; correct the path or its "
                f"permissions, or remove the setting to {without}"
            ) from error
        values = tuple(line.strip() for line in lines if line.strip())
        if not values:
            raise SettingsError(
                f"{setting} {str(file)!r} is empty: write the value that is sent as Authorization, one on each line"
            )
        return cls(values)

    def admits(self, authorization: str) -> bool:
        """Whether the header's value, as it is or after `Bearer `, is right. All are compared, whichever matches."""
        raw = authorization.encode("utf-8", "surrogateescape").strip()
        offered = [_hash(raw)]
        if raw[: len(_BEARER)].lower() == _BEARER:
            offered.append(_hash(raw[len(_BEARER) :].strip()))
        matches = [hmac.compare_digest(one, right) for one in offered for right in self._hashes]
        return any(matches)


def _hash(value: bytes) -> bytes:
    """Of one length, so that a comparison does not tell the secret's."""
    return hashlib.sha256(value).digest()
