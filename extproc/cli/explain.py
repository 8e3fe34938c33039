"""`explain`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from extproc.cli.option import DEFAULT_CONFIG, Config, OutputOption
from extproc.cli.output import Output, print_result
from extproc.cli.root import cli
from extproc.cli.store import with_store
from extproc.cli.usage import UsageError

if TYPE_CHECKING:
    from extproc.explain import Explanation
    from extproc.routing.decision import Credential


@cli.command("explain")
def explain_command(
    request: Annotated[
        list[str], typer.Argument(help="[METHOD] PATH (GET if none), or [docker://][HOST/]NAME[:TAG|@DIGEST].")
    ],
    config: Config = DEFAULT_CONFIG,
    token: Annotated[str | None, typer.Option(help="A registry token; - reads it from standard input.")] = None,
    anonymous: Annotated[bool, typer.Option(help="As for a request without a token.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell what would happen to a request now: operation, grant, evidence, decision, reason.

    Without --token a token that grants just what the request needs is assumed.
    """
    from extproc.auth.grant import Rejection
    from extproc.build import build_policy, build_verifier
    from extproc.explain import explain, past_the_processor
    from extproc.settings import Settings
    from extproc.settings.sites import JWT_AUTH

    if token is not None and anonymous:
        raise UsageError("--token and --anonymous exclude each other: give one of them")
    settings = Settings.load(config)
    method, path = _request(request)
    if settings.sites.issuer is not None and path.partition("?")[0] == JWT_AUTH:
        _print(past_the_processor(method), [], output)
        return
    verifier = build_verifier(settings)
    bearer = sys.stdin.read().strip() if token == "-" else token  # noqa: S105 - not a password
    credential: Credential = Rejection.MISSING if anonymous and verifier is not None else None
    if verifier is not None and token is not None:
        credential = verifier.verify((f"Bearer {bearer}",), time.time())
    assumed = verifier is not None and token is None and not anonymous
    found = with_store(
        settings,
        lambda store: explain(method, path, credential, store, build_policy(settings), assumed=assumed),
    )
    notes = []
    if settings.store.url == "memory://" and found.evidence is not None:
        notes.append("note       memory:// lives inside the serving process: this is the answer of an empty store")
    _print(found, notes, output)


def _request(arguments: list[str]) -> tuple[str, str]:
    """Method and path. Raises ReferenceInvalid and UsageError."""
    from extproc.explain import RequestUnclear, request_of

    try:
        return request_of(arguments)
    except RequestUnclear as error:
        raise UsageError(str(error)) from error


def _print(found: Explanation, notes: list[str], output: Output) -> None:
    document = {
        "operation": found.operation,
        "grant": found.grant,
        "evidence": found.evidence,
        "decision": found.decision,
        "reason": found.reason,
    }
    print_result(document, [*found.words, *notes], output)
