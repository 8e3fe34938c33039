"""Where a worker listens: a Unix socket's file, or a TCP port; each fault is one sentence.

Rules
1. grpc replaces any socket at the name it binds, and at its end removes whatever has that name by then. So it binds
   a name that nobody else has, and the socket is moved to its own when it serves.
2. A socket that nobody listens on was left by a killed process and is replaced; one that answers is another's.
3. The folder is for its owner alone (0700) where we make it, and the socket always (0600), whatever the umask: who
   may connect is believed. Where asked, the folder's group may too (0750, 0660), and nobody else.
4. A port is tried before grpc binds it, for grpc would write the cause to standard error and not tell us.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final

_LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's path (sun_path in unix(7))."""
_REMEDY: Final = "; free it or change the server table"


class ListenError(Exception):
    """The address cannot be listened on; the message names it and the remedy."""


class SocketFile:
    """The file at `path`: claim it, bind `binding`, publish, and in the end withdraw."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """`shared`: the folder's group may connect, too."""
        self._path = path
        self._shared = shared
        self.binding = path.with_name(f".{path.name}.{token_hex(4)}")
        """What to bind; gone once published."""
        self._published: tuple[int, int] | None = None

    def claim(self) -> None:
        """Make the folder and see that the name is free. Raises ListenError."""
        if len(os.fsencode(self.binding)) > _LONGEST_PATH:
            raise ListenError(
                f"cannot listen on unix:{self._path}: a socket's path has at most {_LONGEST_PATH} bytes; "
                "choose a shorter server.socket_dir"
            )
        try:
            folder = self._path.parent
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _only(0o750 if self._shared else 0o700):
                folder.mkdir(exist_ok=True)
            if self._path.exists() and not self._path.is_socket():
                raise ListenError(f"cannot listen on unix:{self._path}: something is there and is no socket{_REMEDY}")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if self._shared and not folder.stat().st_mode & stat.S_IXGRP:
                raise ListenError(
                    f"cannot listen on unix:{self._path}: server.socket_access is group, but the group of {folder} "
                    f"may not enter it; chmod g+x {folder}, or set owner"
                )
        except OSError as error:
            raise ListenError(
                f"cannot listen on unix:{self._path}: {error.strerror}; make server.socket_dir a folder that this "
                "user may write to, or choose another"
            ) from error
        if self._answers():
            raise ListenError(f"cannot listen on unix:{self._path}: another process serves there{_REMEDY}")

    def publish(self) -> None:
        """Put the bound socket in place, at once. Raises ListenError."""
        try:
            if self._shared:
                self._share()
            self._published = _identity(self.binding)
            self.binding.replace(self._path)
        except OSError as error:
            raise ListenError(f"cannot listen on unix:{self._path}: {error.strerror}{_REMEDY}") from error

    def withdraw(self) -> None:
        """Remove the file if it is still ours; connections that were made live on."""
        try:
            if self._published == _identity(self._path):
                self._path.unlink()
        except FileNotFoundError:
            return

    def _share(self) -> None:
        """Before it has its name: nobody finds it half shared. Raises OSError and ListenError."""
        group = self._path.parent.stat().st_gid
        try:
            os.chown(self.binding, -1, group)
        except PermissionError as error:
            raise ListenError(
                f"cannot listen on unix:{self._path}: server.socket_access is group, but this user is not in group "
                f"{group}, which {self._path.parent} has; add it to the group, or give the folder another"
            ) from error
        self.binding.chmod(0o660)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as peer:
            # A full queue must not make us wait: EAGAIN too means that somebody listens.
            peer.setblocking(False)
            return peer.connect_ex(os.fspath(self._path)) not in {errno.ECONNREFUSED, errno.ENOENT}


def for_its_owner() -> AbstractContextManager[None]:
    """What is bound meanwhile nobody else can connect to, not even for a moment. Without await inside."""
    return _only(0o600)


async def try_port(address: str) -> None:
    """See that `host:port` can be bound now. Raises ListenError."""
    host, _, port = address.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, place in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(place)
                probe.listen(1)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {address}: {error.strerror}; end what listens there or choose another server.address "
            "(worker N takes its port + N)"
        ) from error


@contextmanager
def _only(mode: int) -> Iterator[None]:
    """What is made meanwhile has this mode at most; a folder, that asks for all, has it exactly."""
    before = os.umask(0o777 & ~mode)
    try:
        yield
    finally:
        os.umask(before)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat(follow_symlinks=False)
    return status.st_dev, status.st_ino
