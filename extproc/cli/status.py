"""`status`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from extproc.cli.name import parse_name
from extproc.cli.option import DEFAULT_CONFIG, Config, OutputOption
from extproc.cli.output import Output
from extproc.cli.root import cli
from extproc.cli.store import with_store

if TYPE_CHECKING:
    from extproc.oci.reference import Name
    from extproc.settings import Settings


@cli.command("status")
def status_command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A repository's name; all of the site when not given.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most so many names.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell what is known of this site, or of one name: leases, what is behind, deletions, lag, the store's health.

    Exit code 1 when the store does not answer, or when nothing is held of NAME.
    """
    from extproc.settings import Settings
    from extproc.status.table import print_name, print_site

    wanted = None if name is None else parse_name(name)
    if wanted is not None and limit is not None:
        raise typer.BadParameter("it is for all names: leave out NAME or --limit", param_hint="--limit")
    document = _document(Settings.load(config), wanted, limit)
    if output is Output.JSON:
        print(json.dumps(document))
    elif wanted is None:
        print_site(document, sys.stdout)
    else:
        print_name(document, sys.stdout)
    good = document["store"]["available"] if wanted is None else document["held"]
    if not good:
        raise typer.Exit(1)


def _document(settings: Settings, name: Name | None, limit: int | None) -> dict[str, Any]:
    """From the store, or from the process that has it in its memory. Raises StoreUnavailable."""
    from extproc.evidence.store import Store
    from extproc.status.reports import Reports
    from extproc.status.serving import ask_serving

    if settings.store.url == "memory://":
        return asyncio.run(ask_serving(settings.admin, name, limit))

    async def report(store: Store) -> dict[str, Any]:
        reports = Reports(
            store,
            url=settings.store.public_url,
            max_staleness=settings.policy.max_staleness,
            promoted=lambda: settings.sites.promoted,
        )
        return await (reports.site(limit) if name is None else reports.name(name))

    return with_store(settings, report)
