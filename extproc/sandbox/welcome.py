"""What people see when the sandbox is up: where everything is, who may log in, and commands to try."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from extproc.sandbox.image import content, write_image
from extproc.sandbox.scope import PASSWORDS, PUBLIC

_SHOWN: Final = {
    "registry_url": "the one URL, through Envoy",
    "primary_url": "the primary itself",
    "primary_wan_url": "the primary, across the WAN",
    "secondary_url": "the secondary itself",
    "auth_url": "the token issuer",
    "admin_url": "the processor's health",
    "envoy_admin_url": "Envoy's own page",
    "redis_url": "the evidence",
    "ca_file": "signed all certificates",
    "config_file": "the processor's settings",
    "envoy_config_file": "Envoy's configuration",
    "access_log_file": "a line for each request",
}
_MAY: Final = {"admin": "everything", "reader": "pull"}


def write_sample(directory: Path) -> Path:
    """An image to push, without any internet; the layout's folder."""
    layout = directory / "sample"
    write_image(layout, "latest", [content(1_000_000, seed) for seed in range(3)])
    return layout


def commands(description: dict[str, Any], layout: Path) -> list[str]:
    """To push the sample, to read it, to ask why it is read from where it is, and what is known of the site."""
    host = description["registry_url"].partition("://")[2]
    reference = f"docker://{host}/demo/app:latest"
    program, config = _program(), f"-c {description['config_file']}"
    # What is in the serving process's memory no other command can write.
    reconcile = [f"{program} reconcile {config}"] if description.get("redis_url") else []
    return [
        f"skopeo copy --dest-tls-verify=false --dest-creds admin:admin oci:{layout}:latest {reference}",
        f"skopeo inspect --tls-verify=false --creds reader:reader {reference}",
        f"{program} explain {config} demo/app:latest",
        *reconcile,
        f"{program} status {config}",
        f"{program} status {config} demo/app",
    ]


def _program() -> str:
    """As it can be typed here: by its name, where the shell finds the very one that runs."""
    beside = Path(sys.executable).with_name("geo-extproc")
    found = shutil.which("geo-extproc")
    return "geo-extproc" if found is not None and Path(found).resolve() == beside.resolve() else str(beside)


def welcome(description: dict[str, Any], console: Console | None = None) -> None:
    """Print what `Sandbox.describe` gave; write the sample into its directory."""
    console = console or Console(highlight=False, soft_wrap=True)
    shown = {meaning: description[name] for name, meaning in _SHOWN.items() if description.get(name)}
    if description["primary_wan_url"] == description["primary_url"]:
        del shown[_SHOWN["primary_wan_url"]]
    for meaning, where in shown.items():
        console.print(Text.assemble(f"{meaning:29}", (where, "bold")))
    for user, password in PASSWORDS.items():
        console.print(f"{f'user {user}, password {password}':29}{_MAY[user]}")
    console.print(f"{'nobody':29}pull of names under {PUBLIC}")
    console.print("\nTry:")
    for command in commands(description, write_sample(Path(description["directory"]))):
        console.print(f"  {command}", markup=False)
    console.print("\nCtrl-C ends it and leaves nothing behind.")
