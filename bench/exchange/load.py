"""Load by wrk, and what it found."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """By one run. Durations are seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    broken: int
    """Without an answer."""
    refused: int
    """With a status of 400 or more."""


async def wrk(url: str, script: Path, *, connections: int, seconds: float) -> Found:
    """One thread. Raises RuntimeError when it fails."""
    process = await asyncio.create_subprocess_exec(
        "wrk",
        *("--threads", "1", "--connections", str(connections), "--duration", f"{seconds:.0f}s"),
        *("--timeout", "10s", "--script", str(script), url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    except BaseException:
        # Who ends us does not end it.
        process.kill()
        await process.wait()
        raise
    line = next((line for line in output.decode().splitlines() if line.startswith("JSON")), None)
    if process.returncode or line is None:
        raise RuntimeError(f"wrk ended with {process.returncode}: {(errors or output).decode()}")
    told = json.loads(line.removeprefix("JSON"))
    return Found(
        told["requests"],
        told["microseconds"] / 1e6,
        told["p50"] / 1e6,
        told["p99"] / 1e6,
        told["broken"],
        told["refused"],
    )
