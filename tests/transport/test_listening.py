"""The socket's file and the port: what is refused, replaced and left alone."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from extproc.transport.listening import ListenError, SocketFile, for_its_owner, try_port
from tests.support.ports import free_port


def listening(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.fspath(path))
    server.listen(1)
    return server


def published(path: Path, *, shared: bool = False) -> tuple[SocketFile, socket.socket]:
    file = SocketFile(path, shared=shared)
    file.claim()
    with for_its_owner():
        server = listening(file.binding)
    file.publish()
    return file, server


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="umask {:04o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_the_socket_appears_when_it_serves_and_goes_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run" / "w.sock"
    file, server = published(path)
    with server:
        assert path.is_socket()
        assert list(path.parent.iterdir()) == [path]
        assert path.parent.stat().st_mode & 0o777 == 0o700
        file.withdraw()
        assert list(path.parent.iterdir()) == []
        file.withdraw()


@pytest.mark.parametrize(("shared", "folder", "file"), [(False, 0o700, 0o600), (True, 0o750, 0o660)])
def test_who_may_connect_does_not_depend_on_the_umask(
    tmp_path: Path, umask: int, shared: bool, folder: int, file: int
) -> None:
    path = tmp_path / "deep" / "run" / "w.sock"
    _, server = published(path, shared=shared)
    with server:
        assert (mode(path.parent), mode(path)) == (folder, file)
        assert mode(path.parent.parent) == 0o777 & ~umask, "what leads there is not ours"
        assert os.umask(umask) == umask, "it is what it was"


@pytest.mark.parametrize("shared", [False, True])
def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path, shared: bool) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o2771)
    _, server = published(folder / "w.sock", shared=shared)
    with server:
        assert folder.stat().st_mode & 0o7777 == 0o2771
        assert mode(folder / "w.sock") == (0o660 if shared else 0o600)


def test_a_shared_socket_in_a_folder_that_its_group_may_not_enter(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    with pytest.raises(
        ListenError, match=rf"the group of {folder} may not enter it; chmod g\+x {folder}, or set owner"
    ):
        SocketFile(folder / "w.sock", shared=True).claim()


GROUP = 61234
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


@contextmanager
def acting_as(user: int, *groups: int) -> Iterator[None]:
    """For what the kernel permits; nothing may be awaited meanwhile. User and group have the same number."""
    before = os.getgroups(), os.getegid()
    os.setgroups(groups)
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before[1])
        os.setgroups(before[0])


@pytest.fixture
def for_all() -> Iterator[Path]:
    """A folder that every user may enter: those of pytest are root's alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@ROOT_ONLY
@pytest.mark.parametrize(
    ("shared", "groups", "let_in"),
    [
        pytest.param(True, (GROUP,), True, id="of the group"),
        pytest.param(True, (), False, id="not of the group"),
        pytest.param(False, (GROUP,), False, id="of the group, which has no access"),
    ],
)
def test_another_user_at_the_socket(shared: bool, groups: tuple[int, ...], let_in: bool, for_all: Path) -> None:
    folder = for_all / "run"
    folder.mkdir()
    folder.chmod(0o751)  # all may enter: it is the socket that refuses
    os.chown(folder, 65533, GROUP)
    with acting_as(65533, GROUP):
        _, server = published(folder / "w.sock", shared=shared)
    with server, socket.socket(socket.AF_UNIX) as peer, acting_as(65534, *groups):
        if let_in:
            peer.connect(os.fspath(folder / "w.sock"))
        else:
            with pytest.raises(PermissionError):
                peer.connect(os.fspath(folder / "w.sock"))


@ROOT_ONLY
def test_a_group_that_this_user_is_not_in(for_all: Path) -> None:
    folder = for_all / "run"
    folder.mkdir()
    folder.chmod(0o750)
    os.chown(folder, 65533, GROUP)
    with (
        acting_as(65533),
        pytest.raises(ListenError, match=f"this user is not in group {GROUP}, which {folder} has; "),
    ):
        published(folder / "w.sock", shared=True)


def test_the_socket_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    listening(path).close()
    assert path.exists()
    _, server = published(path)
    with server, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(os.fspath(path))


def test_a_successor_keeps_its_socket_when_the_old_owner_ends(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    old, server = published(path)
    server.close()
    _, successor = published(path)
    with successor:
        old.withdraw()
        assert path.is_socket()


def test_a_socket_that_answers_is_not_taken_even_with_a_full_queue(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    with listening(path), socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for _ in range(2):
            with pytest.raises(ListenError, match=f"cannot listen on unix:{path}: another process serves there; "):
                SocketFile(path).claim()
        for peer in (one, two):
            peer.setblocking(False)
            peer.connect_ex(os.fspath(path))
        with pytest.raises(ListenError, match="another process serves there"):
            SocketFile(path).claim()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.sock"
    if kind == "file":
        path.write_text("precious")
    else:
        path.mkdir()
    with pytest.raises(ListenError, match=f"cannot listen on unix:{path}: something is there and is no socket; "):
        SocketFile(path).claim()
    assert path.exists()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(ListenError, match=r"run/w\.sock: .+; make server\.socket_dir a folder that this user may"):
        SocketFile(tmp_path / "run" / "w.sock").claim()


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere, so the question is answered here.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ListenError, match=r"Permission denied; make server\.socket_dir a folder"):
        SocketFile(tmp_path / "w.sock").claim()


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"at most 107 bytes; choose a shorter server\.socket_dir"):
        SocketFile(tmp_path / ("d" * 100) / "w.sock").claim()
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_was_never_bound_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file or directory; free it"):
        SocketFile(tmp_path / "w.sock").publish()


async def test_a_free_port_may_be_tried_again_and_again() -> None:
    port = free_port()
    for _ in range(2):
        await try_port(f"127.0.0.1:{port}")


async def test_a_taken_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ListenError, match=f"cannot listen on {address}: Address already in use; end what"):
            await try_port(address)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("192.0.2.1:9000", "Cannot assign requested address", id="not of this machine"),
        pytest.param("no.such.host.invalid:9000", ".+", id="no such name"),
    ],
)
async def test_an_address_that_is_not_ours(address: str, reason: str) -> None:
    with pytest.raises(ListenError, match=f"cannot listen on {address}: {reason}; end what listens"):
        await try_port(address)
