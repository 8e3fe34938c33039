"""A real Prometheus: scrapes what a test names, every second, and keeps it in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from extproc.sandbox.system import Sandbox
from tests.support.ports import free_port

_WITHIN: Final = 60.0
"""Seconds that something is waited for."""
_END: Final = 20.0
"""Seconds that it may take to end."""


def targets(sandbox: Sandbox) -> dict[str, tuple[str, str]]:
    """As docs/alerts.md has them."""
    where = sandbox.describe()
    return {
        "geo-extproc": (where["admin_url"].partition("//")[2], "/metrics"),
        "geo-envoy": (where["envoy_admin_url"].partition("//")[2], "/stats/prometheus"),
    }


def _jobs(targets: Mapping[str, tuple[str, str]]) -> dict[str, tuple[list[str], str]]:
    return {job: ([address], path) for job, (address, path) in targets.items()}


class Prometheus:
    """`async with Prometheus(folder, targets)`; `targets`: `host:port` and path of each job, by its name."""

    def __init__(self, folder: Path, targets: Mapping[str, tuple[str, str]], rules: Path | None = None) -> None:
        self._folder = folder
        self._port = free_port()
        self._jobs = _jobs(targets)
        self._rules = rules
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "prometheus.yaml"
        self._configure()
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--log.level=warn",
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
            )
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        try:
            await self.until(self._ready, "it is ready")
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_END):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def _configure(self) -> None:
        # JSON is YAML.
        (self._folder / "prometheus.yaml").write_text(json.dumps(self._config()))

    def _config(self) -> dict[str, Any]:
        return {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [] if self._rules is None else [str(self._rules)],
            "scrape_configs": [
                {"job_name": job, "metrics_path": path, "static_configs": [{"targets": addresses}]}
                for job, (addresses, path) in self._jobs.items()
            ],
        }

    async def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, (self._folder / "log").read_text()
        try:
            async with self._client.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def scrape(self, targets: Mapping[str, tuple[str, str]]) -> None:
        """These from now on, and not those from before.

        Their jobs stay, without a target: the series of a target that goes end at once, those of a job that goes
        after five minutes.
        """
        assert self._process is not None
        self._jobs = {job: ([], path) for job, (_, path) in self._jobs.items()} | _jobs(targets)
        self._configure()
        self._process.send_signal(signal.SIGHUP)

        async def adopted() -> bool:
            async with self._client.get(f"{self.url}/api/v1/targets") as answer:
                document = await answer.json()
            return {each["labels"]["job"] for each in document["data"]["activeTargets"]} == set(targets)

        await self.until(adopted, f"{sorted(targets)} are scraped")

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, with their values. Fails where the expression does."""
        async with self._client.get(f"{self.url}/api/v1/query", params={"query": expression}) as answer:
            document = await answer.json()
        assert document["status"] == "success", f"{expression}: {document.get('error')}"
        found: list[dict[str, Any]] = document["data"]["result"]
        return found

    async def alerts(self) -> list[dict[str, Any]]:
        """Those that fire, with their labels and annotations."""
        async with self._client.get(f"{self.url}/api/v1/alerts") as answer:
            document = await answer.json()
        return [alert for alert in document["data"]["alerts"] if alert["state"] == "firing"]

    async def firing(self) -> set[str]:
        """Their names."""
        return {alert["labels"]["alertname"] for alert in await self.alerts()}

    async def until(self, true: Callable[[], Any], what: str, within: float = _WITHIN) -> None:
        """Asked until it is so; `true` is awaited. Else AssertionError, with the alerts that fire then."""
        try:
            async with asyncio.timeout(within):
                while not await true():  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            firing = sorted(await self.firing()) if self._rules is not None else []
            raise AssertionError(f"not within {within} s: {what}; firing: {firing}") from error
