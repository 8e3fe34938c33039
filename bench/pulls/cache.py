"""docker-registry as a pull-through cache of the primary: what people have where they have no gateway.

Source: distribution, "Registry as a pull through cache". It judges no tokens of its own clients.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from extproc.sandbox.ports import HOST
from extproc.sandbox.probe import answers
from extproc.sandbox.process import Process
from extproc.sandbox.program import find
from extproc.sandbox.system import Sandbox


def pull_through_cache(sandbox: Sandbox, folder: Path) -> tuple[str, Process]:
    """Its URL, and the process, not yet started; it fills itself from the primary across the WAN."""
    port = sandbox.workspace.ports.take()
    configuration = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "cache")},
            # As its documentation advises: descriptors are remembered.
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {"addr": f"{HOST}:{port}"},
        "proxy": {"remoteurl": sandbox.sites.primary_wan_url, "username": "reader", "password": "reader"},
    }
    file = folder / "cache.yml"
    file.write_text(yaml.safe_dump(configuration))
    url = f"http://{HOST}:{port}"
    process = Process(
        "cache",
        [find("docker-registry"), "serve", str(file)],
        log=sandbox.workspace.log("cache"),
        environment=sandbox.workspace.environment,
        probe=answers(f"{url}/v2/", 200, None),
    )
    return url, process
