"""A real Prometheus: scrapes what a test names, every second, and keeps it in a folder of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from tests.support.ports import free_port

_WITHIN: Final = 60.0
"""Seconds that something is waited for."""


class Prometheus:
    """`async with Prometheus(folder, targets)`; `targets`: `host:port` and path of each job, by its name."""

    def __init__(self, folder: Path, targets: Mapping[str, tuple[str, str]], rules: Path | None = None) -> None:
        self._folder = folder
        self._port = free_port()
        self._targets = targets
        self._rules = rules
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "prometheus.yaml"
        # JSON is YAML.
        config.write_text(json.dumps(self._config()))
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
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()

    def _config(self) -> dict[str, Any]:
        return {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [] if self._rules is None else [str(self._rules)],
            "scrape_configs": [
                {"job_name": job, "metrics_path": path, "static_configs": [{"targets": [address]}]}
                for job, (address, path) in self._targets.items()
            ],
        }

    async def _ready(self) -> bool:
        try:
            async with self._client.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, with their values. Fails where the expression does."""
        async with self._client.get(f"{self.url}/api/v1/query", params={"query": expression}) as answer:
            document = await answer.json()
        assert document["status"] == "success", f"{expression}: {document.get('error')}"
        found: list[dict[str, Any]] = document["data"]["result"]
        return found

    async def firing(self) -> set[str]:
        """Names of alerts."""
        async with self._client.get(f"{self.url}/api/v1/alerts") as answer:
            document = await answer.json()
        return {alert["labels"]["alertname"] for alert in document["data"]["alerts"] if alert["state"] == "firing"}

    async def until(self, true: Callable[[], Any], what: str, within: float = _WITHIN) -> None:
        """Asked until it is so; `true` is awaited."""
        try:
            async with asyncio.timeout(within):
                while not await true():  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise AssertionError(f"not within {within} s: {what}") from error
