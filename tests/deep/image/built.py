"""The image, built by buildah on a base that debootstrap makes: no registry is asked for one.

Needs root, debootstrap, and the package indexes that pip and apt use here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[3]
_BASE: Final = "localhost/base:bookworm"
_IMAGE: Final = "localhost/geo-extproc:test"
_HOSTS_OWN: Final = ("/etc/pip.conf", "/etc/ssl/certs", *map(str, Path("/etc/apt/apt.conf.d").glob("99*")))
"""How pip and apt find packages here, where this machine says so."""
_READ_ONLY: Final = """
set -eu
root=$1
shift
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
shift
mount --bind /proc "$root/proc"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$1" "$root" /usr/bin/env -i -C / "${@:2}"
"""


@dataclass(frozen=True)
class Image:
    """What was built. `root` is the file system of a container of it; `config` that of the OCI image."""

    root: Path
    base: Path
    config: dict[str, Any]

    def command(self, *arguments: str, volumes: dict[Path, str] | None = None) -> list[str]:
        """As a runtime with a read-only root runs it: `volumes` are bound, everything else of it cannot be written.
        Without `arguments` the image's own."""
        mounts = [word for folder, path in (volumes or {}).items() for word in (str(folder), path)]
        program = [*self.config["Entrypoint"], *(arguments or self.config["Cmd"])]
        return [
            *("unshare", "--mount", "--propagation", "private", "bash", "-c", _READ_ONLY, "bash", str(self.root)),
            *(*mounts, "--", self.config["User"], *self.config["Env"], *program),
        ]


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()


@contextmanager
def built(folder: Path) -> Iterator[Image]:
    """In `folder`, which is empty again afterwards."""
    own = ["buildah", "--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
    base = folder / "base"
    try:
        packages = "python3,python3-venv,ca-certificates"
        _run(["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(base)])
        container = _run([*own, "from", "scratch"])
        _run([*own, "add", "--quiet", container, str(base), "/"])
        _run([*own, "commit", "--quiet", container, _BASE])
        volumes = [f"--volume={path}:{path}:ro" for path in _HOSTS_OWN if Path(path).exists()]
        options = ["--isolation", "chroot", "--network", "host", "--build-arg", f"BASE={_BASE}", *volumes]
        _run([*own, "bud", *options, "--tag", _IMAGE, "."])
        document = json.loads(_run([*own, "inspect", "--type", "image", _IMAGE]))
        container = _run([*own, "from", _IMAGE])
        yield Image(Path(_run([*own, "mount", container])), base, document["OCIv1"]["config"])
    finally:
        subprocess.run([*own, "rm", "--all"], capture_output=True, check=False)
        shutil.rmtree(folder)
