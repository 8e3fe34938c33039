"""A pod of the chart, run here: its containers in Kubernetes' order, with its arguments, files, probes and hooks.

What is not as in a cluster: images are the programs of this checkout, paths and ports are moved to places of the
test's own, and all containers have one user (tests/e2e/test_posture.py has two).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from extproc.sandbox.probe import accepts, answers
from extproc.sandbox.process import Probe, Process
from tests.helm.chart import Outcome
from tests.helm.pod import Gateway, gateway
from tests.support.envoy import EXECUTABLE
from tests.support.ports import free_port
from tests.support.tokens_in_logs import look

Secrets = Mapping[str, Mapping[str, bytes]]
"""Of the namespace: files by the Secret's name."""
PROGRAMS: Final = {"geo-extproc": (sys.executable, "-m", "extproc"), "envoy": (str(EXECUTABLE),)}
"""By the last part of the image's name: what it starts."""
_PLACES: Final = ("/etc/geo-extproc", "/run/geo-extproc", "/run/envoy")


class Pod:
    """`async with Pod(outcome, secrets)`: all containers are ready. `ports`: numbers here for some of the pod's."""

    def __init__(self, outcome: Outcome, secrets: Secrets, ports: Mapping[int, int] | None = None) -> None:
        self._outcome = outcome
        self._secrets = secrets
        self._gateway: Gateway = gateway(outcome)
        numbers = {*self._gateway.ports.values(), 9901}
        self._ports = {number: (ports or {}).get(number) or free_port() for number in sorted(numbers)}
        # Short, for a Unix socket's path is limited to 107 bytes (unix(7)).
        self._root = Path(tempfile.mkdtemp(prefix="pod-"))
        self.processes: dict[str, Process] = {}

    def url(self, port: int) -> str:
        """Where that port of the pod is."""
        return f"http://127.0.0.1:{self._ports[port]}"

    async def __aenter__(self) -> Self:
        try:
            self._mount()
            for name in self._gateway.containers:
                await self._run(name)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.end()
        finally:
            look([process.log for process in self.processes.values()])
            shutil.rmtree(self._root)

    async def end(self) -> None:
        """As a pod does: each container's hook, then SIGTERM; the sidecars after the others, the last first."""
        for name in reversed(self._gateway.containers):
            process = self.processes.get(name)
            if process is None or not process.running:
                continue
            hook = self._gateway.containers[name].get("lifecycle", {}).get("preStop", {}).get("exec")
            if hook is not None:
                await self._exec(name, hook["command"])
            await process.stop()

    async def _exec(self, name: str, command: list[str]) -> None:
        child = await asyncio.create_subprocess_exec(*map(self._moved, command))
        assert await child.wait() == 0, f"{name}: {command}"

    def _mount(self) -> None:
        """The volumes' files at the containers' paths."""
        for container in self._gateway.containers:
            for path, volume in self._gateway.mounted(container).items():
                folder = Path(self._moved(str(path)))
                folder.mkdir(parents=True, exist_ok=True)
                for file, content in self._content(self._gateway.volumes[volume]).items():
                    (folder / file).write_bytes(content)

    def _content(self, volume: dict[str, Any]) -> dict[str, bytes]:
        if "configMap" in volume:
            return {file: self._moved(text).encode() for file, text in self._outcome.files.items()}
        if "secret" in volume:
            files = self._secrets[volume["secret"]["secretName"]]
            items = volume["secret"].get("items") or [{"key": key, "path": key} for key in files]
            return {item["path"]: files[item["key"]] for item in items}
        assert "emptyDir" in volume
        return {}

    def _moved(self, text: str) -> str:
        """Paths, ports and addresses of the pod to those of this test."""
        for place in _PLACES:
            text = text.replace(place, f"{self._root}{place}")
        for number, here in self._ports.items():
            for host in ("0.0.0.0", "127.0.0.1"):  # noqa: S104 - replaced
                text = text.replace(f"{host}:{number}", f"127.0.0.1:{here}")
            if text == str(number):
                text = str(here)
        return text

    async def _run(self, name: str) -> None:
        container = self._gateway.containers[name]
        image = container["image"].partition("@")[0].rpartition("/")[2].partition(":")[0]
        command = [*PROGRAMS[image], *(self._moved(argument) for argument in container["args"])]
        environment = os.environ | self._environment(container)
        if self._is_init(name, container):
            child = await asyncio.create_subprocess_exec(*command, env=environment)
            assert await child.wait() == 0, name
            return
        self.processes[name] = Process(
            name,
            command,
            log=self._root / f"{name}.log",
            environment=environment,
            probe=self._probe(container),
        )
        await self.processes[name].start()

    def _is_init(self, name: str, container: dict[str, Any]) -> bool:
        inits = [each["name"] for each in self._gateway.spec.get("initContainers", [])]
        return name in inits and container.get("restartPolicy") != "Always"

    def _environment(self, container: dict[str, Any]) -> dict[str, str]:
        found = {}
        for variable in container.get("env", []):
            if "value" in variable:
                found[variable["name"]] = variable["value"]
            else:
                reference = variable["valueFrom"]["secretKeyRef"]
                found[variable["name"]] = self._secrets[reference["name"]][reference["key"]].decode()
        return found

    def _probe(self, container: dict[str, Any]) -> Probe:
        """All that it has, one after the other."""
        named = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        probes = [container.get(each) for each in ("startupProbe", "livenessProbe", "readinessProbe")]
        asked = [self._asked(probe, named) for probe in probes if probe is not None]

        async def probe() -> bool:
            return all([await each() for each in asked])

        return probe

    def _asked(self, probe: dict[str, Any], named: dict[str, int]) -> Callable[[], Any]:
        if "httpGet" in probe:
            return answers(self.url(named[probe["httpGet"]["port"]]) + probe["httpGet"]["path"], 200)
        (kind,) = {"tcpSocket", "grpc"} & probe.keys()
        port = probe[kind]["port"]
        return accepts(self._ports[named.get(port, port)])
