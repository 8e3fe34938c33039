from __future__ import annotations

import io
import re

import pytest

from extproc.doctor.examination import Examined
from extproc.doctor.finding import fault, ok, unknown, warning
from extproc.doctor.report import document, exit_code, print_report

GOOD = Examined("store", [ok("latency", "it is fast [1 ms]")])
UNKNOWN = Examined("clock", [unknown("issuer", "no answer", "start it")])
WARNING = Examined("redirects", [warning("blob", "elsewhere", "look")])
FAULT = Examined("envoy", [ok("gateway", "there"), fault("version", "too old", "upgrade it"), fault("x", "y", "z")])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("examined", "plain", "strict"),
    [
        pytest.param([], 0, 0, id="nothing"),
        pytest.param([GOOD], 0, 0, id="good"),
        pytest.param([GOOD, UNKNOWN], 0, 1, id="unknown"),
        pytest.param([GOOD, WARNING], 1, 1, id="warning"),
        pytest.param([FAULT, GOOD], 1, 1, id="fault"),
    ],
)
def test_exit_code(examined: list[Examined], plain: int, strict: int) -> None:
    assert (exit_code(examined, strict=False), exit_code(examined, strict=True)) == (plain, strict)


def test_document() -> None:
    assert document([GOOD, FAULT]) == {
        "state": "fault",
        "counts": {"ok": 2, "unknown": 0, "warning": 0, "fault": 2},
        "checks": [
            {
                "check": "store",
                "state": "ok",
                "findings": [{"subject": "latency", "state": "ok", "text": "it is fast [1 ms]", "remedy": ""}],
            },
            {
                "check": "envoy",
                "state": "fault",
                "findings": [
                    {"subject": "gateway", "state": "ok", "text": "there", "remedy": ""},
                    {"subject": "version", "state": "fault", "text": "too old", "remedy": "upgrade it"},
                    {"subject": "x", "state": "fault", "text": "y", "remedy": "z"},
                ],
            },
        ],
    }
    assert document([])["state"] == "ok"


def test_in_a_pipe_each_row_is_a_line() -> None:
    stream = io.StringIO()
    print_report([GOOD, UNKNOWN, WARNING, FAULT], stream)
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert lines[:4] == [
        ["state", "check", "of", "finding"],
        ["ok", "store", "latency", "it", "is", "fast", "[1", "ms]"],
        ["unknown", "clock", "issuer", "no", "answer"],
        ["→", "start", "it"],
    ]
    assert stream.getvalue().endswith("\n\n4 checks, 2 ok, 1 unknown, 1 warning, 2 faults\n")
    assert "\x1b" not in stream.getvalue()
    assert all(line == line.rstrip() for line in stream.getvalue().splitlines())


def test_nothing_looked_at() -> None:
    stream = io.StringIO()
    print_report([], stream)
    assert stream.getvalue().endswith("nothing was looked at\n")


def test_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    print_report([Examined("envoy", [fault("version", "too old " * 30, "upgrade it")])], stream)
    assert "\x1b[" in stream.getvalue()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(" ".join(lines).split()).count("too old") > 20, "folded, not cut"
