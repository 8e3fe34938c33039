"""Options that more than one command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extproc.cli.output import Output

Config = Annotated[Path, typer.Option("--config", "-c", help="The TOML file.", envvar="GEO_EXTPROC_CONFIG")]
DEFAULT_CONFIG = Path("/etc/geo-extproc/geo-extproc.toml")
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json")]
