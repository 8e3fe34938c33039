"""The providers and the log, as the settings ask for them."""

from __future__ import annotations

import json
import os
import pty
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


_WRITES = (
    "import structlog; from extproc.telemetry.setup import configure_log; configure_log('info', 'auto');"
    "structlog.get_logger().info('serving', worker=3)"
)


def test_auto_is_json_where_nobody_reads_along() -> None:
    done = subprocess.run([sys.executable, "-c", _WRITES], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr)["event"] == "serving"


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_auto_is_text_at_a_terminal(environment: dict[str, str], coloured: bool) -> None:
    ours, theirs = pty.openpty()
    try:
        # What is written to a terminal that nobody has open any more is lost: it is read while both are.
        with subprocess.Popen(
            [sys.executable, "-c", _WRITES], stderr=theirs, env=dict(os.environ, TERM="xterm") | environment
        ) as program:
            program.wait()
        written = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "serving" in written
    assert "{" not in written
    assert ("\x1b[" in written) is coloured


def test_a_line_says_which_trace_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info", "json")
    telemetry = build_telemetry(Telemetry(exporter="none", trace_ratio=1.0))
    log = structlog.get_logger()
    with telemetry.tracer.start_as_current_span("work") as span:
        log.info("within")
    log.info("without")
    telemetry.close()
    within, without = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    context = span.get_span_context()
    assert within["trace_id"] == f"{context.trace_id:032x}"
    assert within["span_id"] == f"{context.span_id:016x}"
    assert int(within["trace_flags"], 16) & 1
    assert not {"trace_id", "span_id", "trace_flags"} & set(without)


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
