"""The service account: a name, and a password in a file that may be replaced at any time."""

from __future__ import annotations

import base64
from pathlib import Path

from extproc.registry.error import Misconfigured


class Account:
    """Reads its file again whenever that has changed."""

    def __init__(self, username: str, password_file: Path) -> None:
        self.username = username
        self._file = password_file
        self._seen: tuple[int, int, int] | None = None
        self._basic = ""

    def basic(self) -> str:
        """The value of `Authorization` (RFC 7617). Raises Misconfigured when the file cannot be used."""
        try:
            status = self._file.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._basic = self._encoded(self._file.read_bytes())
                self._seen = seen
        except OSError as error:
            raise Misconfigured(
                f"cannot read service_account.password_file {str(self._file)!r}: {error.strerror}; "
                "correct the path or its permissions"
            ) from error
        return self._basic

    def _encoded(self, content: bytes) -> str:
        password = content.strip(b"\r\n")
        if not password or b"\n" in password:
            raise Misconfigured(
                f"service_account.password_file {str(self._file)!r} is not one line: write the password alone into it"
            )
        return "Basic " + base64.b64encode(self.username.encode() + b":" + password).decode()
