from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from extproc.doctor.finding import State
from extproc.doctor.processor import judged_ready, sockets
from extproc.settings import Endpoint, Server
from tests.doctor.replies import states

GOOD = {"ready": True, "store": "ok", "workers": 2}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(GOOD, [("ready", "ok")], id="good"),
        pytest.param({**GOOD, "keys": "ok", "configuration": "ok"}, [("ready", "ok")], id="with all words"),
        pytest.param({**GOOD, "ready": False}, [("ready", "fault")], id="not ready"),
        pytest.param({**GOOD, "store": "degraded"}, [("store", "fault")], id="no store"),
        pytest.param({**GOOD, "workers": 1}, [("workers", "fault")], id="one is missing"),
        pytest.param({**GOOD, "workers": 3}, [("workers", "fault")], id="older settings"),
        pytest.param({**GOOD, "keys": "stale: x"}, [("keys", "warning")], id="keys that are old"),
        pytest.param({**GOOD, "keys": "missing: x"}, [("keys", "fault")], id="no keys"),
        pytest.param({**GOOD, "configuration": "x"}, [("configuration", "warning")], id="configuration"),
        pytest.param(None, [("ready", "fault")], id="no JSON"),
        pytest.param({"status": "ok"}, [("ready", "fault")], id="somebody else"),
    ],
)
def test_ready(document: Any, expected: list[tuple[str, str]]) -> None:
    assert states(list(judged_ready(document, 200, 2))) == expected


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("broken, the one before is in force: x", "correct it; until then do not restart: nothing would start"),
        ("restart needed: store.url", "restart the processor, or take the change back"),
        ("Envoy may not follow sites.role: x", "see its log, and docs/operations.md"),
    ],
)
def test_what_helps_where_the_file_is_not_in_force(word: str, remedy: str) -> None:
    """A restart would end what still serves where the file is broken."""
    (finding,) = judged_ready({**GOOD, "configuration": word}, 200, 2)
    assert (word in finding.text, finding.remedy) == (True, remedy)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two sockets in a folder of its own."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    settings = Server(workers=2, socket_dir=folder)
    with ExitStack() as stack:
        for number in range(2):
            made = stack.enter_context(socket.socket(socket.AF_UNIX))
            made.bind(str(settings.socket(number)))
            settings.socket(number).chmod(0o755)
        yield settings


def test_sockets_for_envoy_alone(server: Server) -> None:
    assert states(list(sockets(server))) == [("sockets", "ok")]


@pytest.mark.parametrize("which", ["folder", "socket"])
def test_for_everybody(server: Server, which: str) -> None:
    place = server.socket_dir if which == "folder" else server.socket(1)
    place.chmod(0o777)
    (finding,) = sockets(server)
    assert finding.state is State.FAULT
    assert f"{place} (0777)" in finding.text


def test_no_socket_here(server: Server) -> None:
    server.socket(1).unlink()
    (finding,) = sockets(server)
    assert (finding.state, "worker-1.sock" in finding.text) == (State.UNKNOWN, True)


@pytest.mark.parametrize(
    ("host", "state"), [("127.0.0.1", State.OK), ("::1", State.OK), ("10.0.0.7", State.UNKNOWN), ("x", State.UNKNOWN)]
)
def test_ports_instead(host: str, state: State) -> None:
    (finding,) = sockets(Server(address=Endpoint(host=host, port=5000)))
    assert finding.state is state
