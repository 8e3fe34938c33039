"""`doctor`."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from extproc.cli.name import parse_name
from extproc.cli.option import DEFAULT_CONFIG, Config, OutputOption
from extproc.cli.output import Output, print_text
from extproc.cli.root import cli
from extproc.cli.usage import UsageError

if TYPE_CHECKING:
    from extproc.doctor.examination import Examined
    from extproc.doctor.installation import Wishes
    from extproc.settings import Settings

_URL = re.compile(r"https?://[^/?#@\s]+/?", re.ASCII)
_TOKEN = re.compile(r"[!-~]+", re.ASCII)


@cli.command("doctor")
def doctor_command(
    *,
    config: Config = DEFAULT_CONFIG,
    url: Annotated[
        str, typer.Option(help="The unified URL, as clients have it; by default where envoy.listen is.")
    ] = "",
    ca: Annotated[Path | None, typer.Option(help="CA certificates for --url.")] = None,
    username: Annotated[str, typer.Option(help="An account that may pull, instead of service_account.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="Its password, alone in a file.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="A registry token, instead of an account.")] = None,
    repository: Annotated[
        str | None, typer.Option(help="A replicated repository to ask about, instead of one that is found.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="A check to leave out; may be repeated.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="What is unknown counts as a finding, too.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds for each check.")] = 15.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Look at a running installation: keys, tokens, clocks, the store, notifications, Envoy, both registries.

    Each finding comes with a remedy. Exit code 1 for a warning or a fault.
    """
    from extproc.doctor.checks import CHECKS
    from extproc.doctor.installation import Wishes
    from extproc.doctor.report import document, exit_code, print_report
    from extproc.settings import Settings

    left_out = set(ignore or ())
    if nowhere := sorted(left_out - CHECKS.keys()):
        raise UsageError(f"--ignore {nowhere[0]!r} is no check: give one of {', '.join(CHECKS)}")
    if url and _URL.fullmatch(url) is None:
        raise UsageError(f"--url {url[:200]!r} is not http://host:port or https://host:port")
    if ca is not None and not url.startswith("https://"):
        raise UsageError("--ca is given without an https --url: give both")
    settings = _with_account(Settings.load(config), username, password_file, token_file)
    wishes = Wishes(
        url=url.rstrip("/"),
        ca=ca,
        token=_token(token_file),
        repository=None if repository is None else parse_name(repository),
        timeout=timeout,
    )
    examined = asyncio.run(_examine(settings, wishes, [name for name in CHECKS if name not in left_out]))
    if output is Output.JSON:
        print_text(json.dumps(document(examined)) + "\n")
    else:
        print_report(examined, sys.stdout)
    if code := exit_code(examined, strict=strict):
        raise typer.Exit(code)


async def _examine(settings: Settings, wishes: Wishes, names: Sequence[str]) -> list[Examined]:
    from extproc.doctor.checks import CHECKS
    from extproc.doctor.examination import examine
    from extproc.doctor.installation import open_installation

    async with open_installation(settings, wishes, compare="envoy-config" in names) as installation:
        return await examine(installation, {name: CHECKS[name] for name in names})


def _with_account(settings: Settings, username: str, password_file: Path | None, token_file: Path | None) -> Settings:
    """The account of the command line, where there is one. Raises UsageError."""
    from extproc.registry.account import Account
    from extproc.registry.error import RegistryError

    if bool(username) != (password_file is not None):
        raise UsageError("--username and --password-file go together: give both or neither")
    if username and token_file is not None:
        raise UsageError("--token-file does not go with --username: give one of them")
    if password_file is None:
        return settings
    try:
        Account(username, password_file.absolute()).basic()
    except RegistryError as error:
        raise UsageError(str(error).replace("service_account.password_file", "--password-file")) from error
    account = settings.service_account.model_copy(
        update={"username": username, "password_file": password_file.absolute()}
    )
    return settings.model_copy(update={"service_account": account})


def _token(file: Path | None) -> str:
    """Raises UsageError."""
    if file is None:
        return ""
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise UsageError(f"cannot read --token-file {str(file)!r}: {reason}; correct the path") from error
    if _TOKEN.fullmatch(token) is None:
        raise UsageError(f"--token-file {str(file)!r} is not one token: write it alone into the file")
    return token
