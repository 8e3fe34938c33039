"""`reconcile`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from extproc.cli.name import parse_name
from extproc.cli.option import DEFAULT_CONFIG, Config, OutputOption
from extproc.cli.output import Output, print_result
from extproc.cli.root import cli
from extproc.cli.store import with_store
from extproc.cli.usage import UsageError

if TYPE_CHECKING:
    from extproc.evidence.store import Store
    from extproc.oci.reference import Name
    from extproc.reconcile.summary import Summary
    from extproc.settings import Settings


@cli.command("reconcile")
def reconcile_command(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Only these names, such as group/project/app.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    source: Annotated[
        Literal["catalog", "store", "file", "gitlab"] | None,
        typer.Option("--names", help="Where names come from, instead of reconcile.names."),
    ] = None,
    names_file: Annotated[Path | None, typer.Option(help="Names from this file, one a line.")] = None,
    gitlab_path: Annotated[str | None, typer.Option(help="For --names gitlab: the group or project.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Requests a second to each site, at most.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, max=256, help="Names compared at once.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not continue an interrupted run.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Compare both sites, name by name and tag by tag, and keep what is seen: warm before the first client asks.

    An interrupted run is continued by the next. Exit code 1 when a name could not be read.
    """
    from extproc.files import check_account
    from extproc.reconcile import report
    from extproc.settings import Settings

    if names and (source is not None or names_file is not None or gitlab_path is not None or fresh):
        raise UsageError(
            f"{names[0]!r} is given, and where names come from too: give either names, or --names, --names-file, "
            "--gitlab-path and --fresh"
        )
    settings = _overridden(
        Settings.load(config),
        names=_source(source, names_file, gitlab_path),
        names_file=names_file and names_file.absolute(),
        gitlab_path=gitlab_path,
        rate=rate,
        concurrency=concurrency,
    )
    wanted = [parse_name(name) for name in names or ()]
    check_account(settings)
    try:
        summary = with_store(settings, lambda store: _reconcile(settings, store, wanted, fresh))
    except (asyncio.CancelledError, KeyboardInterrupt):
        again = "run it again" if wanted else "the next run over the same names goes on from here"
        print(f"geo-extproc: interrupted; {again}", file=sys.stderr)
        raise typer.Exit(130) from None
    print_result(report.document(summary), report.lines(summary), output)
    if summary.errors:
        raise typer.Exit(1)


def _source(source: str | None, names_file: Path | None, gitlab_path: str | None) -> str | None:
    """The one that the options choose, if any. Raises UsageError where they contradict each other."""
    chosen = {"file": "--names-file", "gitlab": "--gitlab-path"}
    if names_file is None:
        del chosen["file"]
    if gitlab_path is None:
        del chosen["gitlab"]
    for kind, option in chosen.items():
        if (source or next(iter(chosen))) != kind:
            other = f"--names {source}" if source else chosen[next(iter(chosen))]
            raise UsageError(f"{option} does not go with {other}: give one of them")
    return source or next(iter(chosen), None)


def _overridden(settings: Settings, **given: Any) -> Settings:
    """Raises SettingsError."""
    from pydantic import ValidationError

    from extproc.settings import SettingsError
    from extproc.settings.reconcile import Reconcile

    if settings.store.url == "memory://":
        raise SettingsError(
            "store.url memory:// lives inside the serving process, where this command cannot write: "
            "set reconcile.period there, or use Redis"
        )
    told = {key: value for key, value in given.items() if value is not None}
    try:
        reconcile = Reconcile(**settings.reconcile.model_dump() | told)
    except ValidationError as error:
        raise SettingsError(f"reconcile: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    return settings.model_copy(update={"reconcile": reconcile})


async def _reconcile(settings: Settings, store: Store, names: list[Name], fresh: bool) -> Summary:
    from extproc.build import unhurried
    from extproc.reconcile.claim import identity
    from extproc.reconcile.progress import watched
    from extproc.reconcile.run import Reconciler
    from extproc.reconcile.source import given, source_of
    from extproc.registry.connect import open_registries

    task = asyncio.current_task()
    if task is not None:
        # SIGINT too: where a shell started us in the background it is ignored, and Python leaves it so.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    store = unhurried(store)
    async with open_registries(settings) as registries:
        primary, secondary = registries.primary, registries.secondary
        source = given(names) if names else source_of(settings.reconcile, primary, store)
        with watched() as watch:
            reconciler = Reconciler(
                store,
                primary,
                secondary,
                concurrency=settings.reconcile.concurrency,
                blobs=settings.reconcile.blobs,
                watch=watch,
            )
            if not source.complete:
                # A few names beside a long run disturb nobody: each step is atomic.
                return await reconciler.run(source, by=identity("reconcile"))
            async with _alone(store):
                return await reconciler.run(source, by=identity("reconcile"), fresh=fresh)


@asynccontextmanager
async def _alone(store: Store) -> AsyncIterator[None]:
    """No other run beside this one; a claim whose holder was killed is waited for."""
    from extproc.reconcile.checkpoint import running
    from extproc.reconcile.claim import TTL, ClaimTaken, claimed

    async def tell() -> None:
        print(
            f"geo-extproc: another reconcile holds the claim; waiting up to {TTL:.0f} s in case it was killed",
            file=sys.stderr,
        )

    try:
        async with claimed(store, wait=TTL + 1, on_wait=tell):
            yield
    except ClaimTaken as error:
        other = await running(store)
        who = f": {other.by}" if other is not None else ""
        raise ClaimTaken(f"{error}{who}; wait for its end, or name single names, which may run beside it") from error
