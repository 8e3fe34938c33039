"""`check-config` and `envoy-config`: what the settings give, without serving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from extproc.cli.option import DEFAULT_CONFIG, Config, OutputOption
from extproc.cli.output import Output, OutputError, print_result, print_text
from extproc.cli.root import cli
from extproc.cli.store import with_store
from extproc.mesh.form import Form

if TYPE_CHECKING:
    from extproc.settings import Settings


@cli.command("envoy-config")
def envoy_config(
    config: Config = DEFAULT_CONFIG,
    form: Annotated[Form, typer.Option(help="For an Envoy of your own, or for whom else.")] = Form.BOOTSTRAP,
    output: Annotated[Path | None, typer.Option("--write", "-w", help="Write here, not to the terminal.")] = None,
) -> None:
    """Print Envoy's configuration for these settings: its bootstrap, or a mesh's documents."""
    from extproc import bootstrap
    from extproc.mesh.render import render as render_for_mesh
    from extproc.settings import Settings

    settings = Settings.load(config)
    if form is Form.BOOTSTRAP:
        text = bootstrap.render(settings)
    else:
        text = render_for_mesh(form, bootstrap.plain(settings), settings)
    if output is None:
        print_text(text)
    else:
        try:
            output.write_text(text)
        except OSError as error:
            raise OutputError(f"cannot write {str(output)!r}: {error.strerror}; choose another path") from error


@cli.command("check-config")
def check_config(
    config: Config = DEFAULT_CONFIG,
    envoy: Annotated[
        bool, typer.Option(help="Look at certificates, keys and CA files that only Envoy reads, too.")
    ] = True,
    output: OutputOption = Output.TEXT,
) -> None:
    """Read the settings, every file that they name, and the store's answer; change nothing."""
    from extproc.bootstrap import render
    from extproc.build import build_verifier
    from extproc.files import check_files
    from extproc.reconcile.source import check_gitlab_path
    from extproc.settings import Settings

    settings = Settings.load(config)
    verifier = build_verifier(settings)
    render(settings)
    files = check_files(settings, envoy=envoy)
    if settings.reconcile.gitlab_path:
        check_gitlab_path(settings.reconcile.gitlab_path)
    with_store(settings, lambda store: store.ping())
    facts = {"config": str(config), "auth": settings.auth.mode, "store": settings.store.public_url}
    facts["keys"] = "none needed" if verifier is None else ", ".join(_keys(settings))
    facts["files"] = ", ".join(map(str, files)) or "no others"
    print_result(facts, [f"{name:8} {value}" for name, value in facts.items()] + ["good"], output)


def _keys(settings: Settings) -> list[str]:
    """Where they come from. What is at a URL is not looked at: it changes while we serve."""
    url = settings.auth.keys_url
    return [*map(str, settings.auth.keys), *([f"{url} (not fetched)"] if url else [])]
