"""`sandbox` and `demo`: two sites on this machine."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

import typer

from extproc.cli.option import OutputOption
from extproc.cli.output import Output, print_text
from extproc.cli.root import cli
from extproc.cli.usage import UsageError

WORKERS = typer.Option(min=1, help="Worker processes; more than one needs Redis.")
State = Annotated[Literal["redis", "memory"], typer.Option(help="Where evidence is kept.")]
WanRtt = Annotated[float, typer.Option(min=0, help="Round trip to the primary, milliseconds.")]


@cli.command("sandbox")
def sandbox_command(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line when all is ready.")] = False,
    workers: Annotated[int, WORKERS] = 1,
    state: State = "redis",
    wan_rtt: WanRtt = 0,
    tls: Annotated[bool, typer.Option("--tls", help="https, with a throw-away CA.")] = False,
    fallback: Annotated[
        Literal["composite", "priorities"], typer.Option(help="How Envoy falls back to the primary.")
    ] = "composite",
    max_staleness: Annotated[float, typer.Option(min=0, help="Longest age of a tag, seconds.")] = 60.0,
) -> None:
    """Run two sites on this machine until SIGINT or SIGTERM: registries, token issuer, Redis, processor, Envoy."""
    from extproc.sandbox.system import Sandbox, run_until_signal
    from extproc.sandbox.welcome import welcome

    _check_shared(workers, state)
    sandbox = Sandbox(
        workers=workers, state=state, wan_rtt=wan_rtt, tls=tls, fallback=fallback, max_staleness=max_staleness
    )

    def announce(description: dict[str, Any]) -> None:
        if as_json:
            print_text(json.dumps(description) + "\n")
        else:
            welcome(description)

    asyncio.run(run_until_signal(sandbox, announce))


@cli.command("demo")
def demo_command(
    wan_rtt: WanRtt = 80,
    workers: Annotated[int | None, WORKERS] = None,
    state: State = "redis",
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell what happens at two sites, on real parts, checking each step. Exit code 1 when one is not as expected.

    Two workers, or one with --state memory.
    """
    from extproc.sandbox.demo.record import Record
    from extproc.sandbox.demo.run import Stopped, run_demo
    from extproc.sandbox.demo.table import Story

    if workers is None:
        workers = 1 if state == "memory" else 2
    _check_shared(workers, state)
    show = Record() if output is Output.JSON else Story()
    try:
        good = asyncio.run(run_demo(show, workers=workers, state=state, wan_rtt=wan_rtt))
    except Stopped as stopped:
        raise typer.Exit(stopped.exit_code) from None
    if not good:
        raise typer.Exit(1)


def _check_shared(workers: int, state: str) -> None:
    if state == "memory" and workers > 1:
        raise UsageError(
            f"--workers {workers} cannot share --state memory, which lives in one process: leave out --state or give "
            "--workers 1"
        )
