"""The command line: thin. Each command reads its input, calls one function, and prints what it gave.

Exit codes: 0, 1 for a finding or a failure while running, 2 for unusable input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import typer
import uvloop

from extproc.admin.server import AdminError
from extproc.app import build_policy, build_store, build_verifier, serve_alone
from extproc.auth.grant import Rejection
from extproc.auth.keys import KeysInvalid
from extproc.bootstrap import render
from extproc.evidence.store import Store, StoreUnavailable
from extproc.explain import ReferenceInvalid, explain, request_of_reference
from extproc.routing.decision import Credential
from extproc.sandbox.demo.record import Record
from extproc.sandbox.demo.run import Stopped, run_demo
from extproc.sandbox.demo.table import Story
from extproc.sandbox.error import SandboxError
from extproc.sandbox.system import Sandbox, run_until_signal
from extproc.sandbox.welcome import welcome
from extproc.settings import Settings, SettingsError
from extproc.supervisor import WorkersFailed, supervise
from extproc.transport.grpcio import ListenError

cli = typer.Typer(
    name="geo-extproc",
    help="Serve container registry pulls from the site where the data already is.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


class OutputError(Exception):
    """The result cannot be written; the message names the path and the remedy."""


class Output(Enum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


Config = Annotated[Path, typer.Option("--config", "-c", help="The TOML file.", envvar="GEO_EXTPROC_CONFIG")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json")]
Result = TypeVar("Result")
DEFAULT_CONFIG = Path("/etc/geo-extproc/geo-extproc.toml")

_USAGE = (SettingsError, KeysInvalid, ReferenceInvalid)
Workers = Annotated[int, typer.Option(min=1, help="Worker processes; more than one needs Redis.")]
State = Annotated[Literal["redis", "memory"], typer.Option(help="Where evidence is kept.")]
WanRtt = Annotated[float, typer.Option(min=0, help="Round trip to the primary, milliseconds.")]

_FAILED = (AdminError, ListenError, OutputError, SandboxError, StoreUnavailable, WorkersFailed)


def main() -> None:
    """The console script. Faults of input and surroundings are one sentence on standard error."""
    try:
        cli()
    except _USAGE as error:
        _fail(error, 2)
    except _FAILED as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)


@cli.command()
def serve(config: Config = DEFAULT_CONFIG) -> None:
    """Run the processor until SIGTERM: one process with memory://, else a supervisor and its workers."""
    settings = Settings.load(config)
    build_verifier(settings)  # a bad key is refused before anything starts
    if settings.store.url == "memory://":
        uvloop.run(serve_alone(settings))
    else:
        uvloop.run(supervise(settings, config))


@cli.command("envoy-config")
def envoy_config(
    config: Config = DEFAULT_CONFIG,
    output: Annotated[Path | None, typer.Option("--write", "-w", help="Write here, not to the terminal.")] = None,
) -> None:
    """Print Envoy's bootstrap for these settings."""
    text = render(Settings.load(config))
    if output is None:
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text)
        except OSError as error:
            raise OutputError(f"cannot write {str(output)!r}: {error.strerror}; choose another path") from error


@cli.command("check-config")
def check_config(config: Config = DEFAULT_CONFIG, output: OutputOption = Output.TEXT) -> None:
    """Read the settings, the keys and the store's answer; change nothing."""
    settings = Settings.load(config)
    verifier = build_verifier(settings)
    render(settings)
    try:
        asyncio.run(_with_store(settings, lambda store: store.ping()))
    except StoreUnavailable as error:
        raise StoreUnavailable(f"the store is away: {error}; start it or correct the store table") from error
    facts = {"config": str(config), "auth": settings.auth.mode, "store": settings.store.public_url}
    facts["keys"] = "none needed" if verifier is None else ", ".join(str(path) for path in settings.auth.keys)
    _print(facts, [f"{name:8} {value}" for name, value in facts.items()] + ["good"], output)


@cli.command("explain")
def explain_command(
    request: Annotated[list[str], typer.Argument(help="METHOD PATH, or [HOST/]NAME[:TAG|@DIGEST].")],
    config: Config = DEFAULT_CONFIG,
    token: Annotated[str | None, typer.Option(help="A registry token; - reads it from standard input.")] = None,
    anonymous: Annotated[bool, typer.Option(help="As for a request without a token.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell what would happen to a request now: operation, grant, evidence, decision, reason.

    Without --token a token that grants just what the request needs is assumed.
    """
    if token is not None and anonymous:
        raise ReferenceInvalid("--token and --anonymous exclude each other: give one of them")
    settings = Settings.load(config)
    match request:
        case [method, path] if path.startswith("/"):
            method = method.upper()
        case [reference]:
            method, path = request_of_reference(reference)
        case _:
            raise ReferenceInvalid(f"{' '.join(request)!r} is neither METHOD /PATH nor one image reference")
    verifier = build_verifier(settings)
    bearer = sys.stdin.read().strip() if token == "-" else token  # noqa: S105 - not a password
    credential: Credential = Rejection.MISSING if anonymous and verifier is not None else None
    if verifier is not None and token is not None:
        credential = verifier.verify((f"Bearer {bearer}",), time.time())
    assumed = verifier is not None and token is None and not anonymous
    found = asyncio.run(
        _with_store(
            settings,
            lambda store: explain(method, path, credential, store, build_policy(settings), assumed=assumed),
        )
    )
    words = list(found.words)
    if settings.store.url == "memory://":
        words.append("note       memory:// lives inside the serving process: this is the answer of an empty store")
    document = {
        "operation": found.operation,
        "grant": found.grant,
        "evidence": found.evidence,
        "decision": found.decision,
        "reason": found.reason,
    }
    _print(document, words, output)


@cli.command("sandbox")
def sandbox_command(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line when all is ready.")] = False,
    workers: Workers = 1,
    state: State = "redis",
    wan_rtt: WanRtt = 0,
    tls: Annotated[bool, typer.Option("--tls", help="https, with a throw-away CA.")] = False,
    fallback: Annotated[
        Literal["composite", "priorities"], typer.Option(help="How Envoy falls back to the primary.")
    ] = "composite",
    max_staleness: Annotated[float, typer.Option(min=0, help="Longest age of a tag, seconds.")] = 60.0,
) -> None:
    """Run two sites on this machine until SIGINT or SIGTERM: registries, token issuer, Redis, processor, Envoy."""
    sandbox = Sandbox(
        workers=workers, state=state, wan_rtt=wan_rtt, tls=tls, fallback=fallback, max_staleness=max_staleness
    )

    def announce(description: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps(description), flush=True)
        else:
            welcome(description)

    asyncio.run(run_until_signal(sandbox, announce))


@cli.command("demo")
def demo_command(
    wan_rtt: WanRtt = 80,
    workers: Workers = 2,
    state: State = "redis",
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell what happens at two sites, on real parts, checking each step. Exit code 1 when one is not as expected."""
    show = Record() if output is Output.JSON else Story()
    try:
        good = asyncio.run(run_demo(show, workers=workers, state=state, wan_rtt=wan_rtt))
    except Stopped as stopped:
        raise typer.Exit(stopped.exit_code) from None
    if not good:
        raise typer.Exit(1)


async def _with_store(settings: Settings, use: Callable[[Store], Coroutine[Any, Any, Result]]) -> Result:
    store = build_store(settings)
    try:
        return await use(store)
    finally:
        await store.close()


def _print(document: dict[str, Any], lines: list[str], output: Output) -> None:
    print(json.dumps(document) if output is Output.JSON else "\n".join(lines))


def _fail(error: Exception, code: int) -> NoReturn:
    print(f"geo-extproc: {error}", file=sys.stderr)
    sys.exit(code)
