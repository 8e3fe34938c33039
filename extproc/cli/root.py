"""The command that all others hang on, and the console script."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from extproc.cli.output import print_text
from extproc.form import is_compiled

_ORDER: Final = (
    "serve",
    "check-config",
    "envoy-config",
    "status",
    "explain",
    "reconcile",
    "doctor",
    "sandbox",
    "demo",
)


class _Commands(TyperGroup):
    """Listed as they are needed; those not named above come last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: (*_ORDER, name).index(name))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # Typer passes on pydantic's words for a value that is none of the choices.
            error.message = error.message.removeprefix("Value error, ")
            raise


cli = typer.Typer(
    name="geo-extproc",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        form = ", compiled" if is_compiled() else ""
        print_text(f"geo-extproc {version('geo-extproc')}{form}\n")
        raise typer.Exit


@cli.callback()
def before_any_command(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Serve container registry pulls from the site where the data already is."""


def main() -> None:
    """The console script. Faults of input and surroundings are one sentence on standard error."""
    try:
        cli()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from extproc.cli.exit_code import exit_code

        code = exit_code(error)
        if code is None:
            raise
        print(f"geo-extproc: {error}", file=sys.stderr)
        sys.exit(code)
