"""The providers and the log, as the settings ask for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import structlog
from opentelemetry import metrics, trace

from extproc.settings import Telemetry
from extproc.telemetry.log_lines import LogLines
from extproc.telemetry.setup import build_telemetry, configure_log


def test_none_exports_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = build_telemetry(Telemetry(exporter="none", trace_ratio=1.0))
    telemetry.meter.create_counter("c").add(1)
    telemetry.tracer.start_span("s").end()
    telemetry.close()
    assert capsys.readouterr() == ("", "")


def test_console_writes_to_standard_error_at_the_latest_when_closed(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = build_telemetry(Telemetry(exporter="console", trace_ratio=1.0))
    telemetry.meter.create_counter("the-counter").add(1)
    telemetry.tracer.start_span("the-span").end()
    telemetry.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "the-span" in err
    assert "the-counter" in err
    assert '"service.name": "geo-extproc"' in err


@pytest.mark.parametrize(("ratio", "sampled"), [(1.0, True), (0.0, False)])
def test_trace_ratio(ratio: float, sampled: bool) -> None:
    telemetry = build_telemetry(Telemetry(exporter="none", trace_ratio=ratio))
    assert telemetry.tracer.start_span("s").get_span_context().trace_flags.sampled is sampled
    telemetry.close()


def test_no_global_is_set() -> None:
    before = trace.get_tracer_provider(), metrics.get_meter_provider()
    build_telemetry(Telemetry(exporter="none", trace_ratio=1.0)).close()
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == before


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(capsys: pytest.CaptureFixture[str], level: str, shown: list[str]) -> None:
    configure_log(level, "json")
    log = structlog.get_logger()
    for each in ("debug", "info", "warning", "error"):
        getattr(log, each)("event", n=1)
    out, err = capsys.readouterr()
    assert out == ""
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["level"] for line in lines] == shown
    assert all(line["event"] == "event" and line["n"] == 1 and line["timestamp"].endswith("Z") for line in lines)


def test_a_fault_is_one_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info", "json")
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("stream failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_text_is_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info", "text")
    structlog.get_logger().info("serving", worker=3)
    err = capsys.readouterr().err
    assert "serving" in err
    assert "worker=3" in err
    assert "\x1b" not in err


ONE_LINE = "import structlog; from extproc.telemetry.setup import configure_log; configure_log('info', {form!r});"


def written(form: str, program: str, *, terminal: bool, **environment: str) -> str:
    """What a process with that form of log writes to standard error: a terminal, or a pipe."""
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    ours, theirs = os.openpty() if terminal else os.pipe()
    try:
        subprocess.run(
            [sys.executable, "-c", ONE_LINE.format(form=form) + program],
            stderr=theirs,
            env={**kept, **environment},
            check=True,
        )
        return os.read(ours, 100_000).decode()
    finally:
        os.close(theirs)
        os.close(ours)


@pytest.mark.parametrize(
    ("form", "terminal", "no_color", "text", "coloured"),
    [
        pytest.param("auto", True, None, True, True, id="auto at a terminal"),
        pytest.param("auto", True, "1", True, False, id="without colours"),
        pytest.param("auto", True, "", True, True, id="NO_COLOR is empty"),
        pytest.param("auto", False, None, False, False, id="auto into a pipe"),
        pytest.param("text", True, None, True, True, id="text at a terminal"),
        pytest.param("text", False, None, True, False, id="text into a pipe"),
        pytest.param("json", True, None, False, False, id="json at a terminal"),
    ],
)
def test_form(form: str, terminal: bool, no_color: str | None, text: bool, coloured: bool) -> None:
    environment = {} if no_color is None else {"NO_COLOR": no_color}
    said = written(form, "structlog.get_logger().info('serving', worker=3)", terminal=terminal, **environment)
    assert ("\x1b[" in said) is coloured
    if text:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
        assert re.search(r"info +\] serving +worker=3", plain), said
    else:
        assert json.loads(said)["event"] == "serving"


@pytest.mark.parametrize("terminal", [True, False])
def test_threat_no_fault_shows_the_values_of_variables(terminal: bool) -> None:
    program = """
def fail(token):
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("stream failed")
fail("a-" + "secret")
"""
    for form in ("text", "json"):
        said = written(form, "\n" + program, terminal=terminal)
        assert "ValueError" in said
        assert "a-secret" not in said


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    """A full disk below it: lines are lost, and the process ends as it would have (full(4))."""
    program = (
        "import structlog; from extproc.telemetry.setup import configure_log; configure_log('info', 'json');"
        "[structlog.get_logger().info('event', text='x' * 5000) for _ in range(5)]; print('went on')"
    )
    # Buffered, as Python's standard error is where nobody says otherwise.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - no file to speak of
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
            env=environment,
        )
    assert (done.stdout, done.returncode) == ("went on\n", 0)


def test_lines_come_again_and_the_lost_ones_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    full = True

    class Disk:
        def write(self, text: str) -> int:
            if full:
                raise OSError(28, "No space left on device")
            return sys.stderr.write(text)

        def flush(self) -> None:
            return

    lines = LogLines(Disk())
    lines.write("lost\n")
    lines.write("lost too\n")
    full = False
    lines.write('{"event": "kept"}\n')
    lines.write('{"event": "and this"}\n')
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert said == [
        {"event": "lines of this log were lost: it could not be written", "lost": 2, "level": "error"},
        {"event": "kept"},
        {"event": "and this"},
    ]
