"""bench.json as pictures. With bench/capacity/charts.py, the modules that know matplotlib, of the extra `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib
from matplotlib import pyplot

matplotlib.use("Agg")  # no display is needed to write files

_SIZE: Final = (6.4, 3.6)
"""Inches."""


def draw(found: dict[str, Any], folder: Path) -> list[Path]:
    """One file for each kind of figure that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if "cpu_us" in found:
        drawn.append(
            _bars(found["cpu_us"], "CPU of the processor for an exchange, 32 connections", "µs", folder / "cpu.png")
        )
        drawn.append(
            _bars(found["added_p50_ms"], "Added latency, median, 1 connection", "ms", folder / "latency.png")
        )
    if "pull_ms" in found:
        pulls = {place.replace("_", " "): took / 1000 for place, took in found["pull_ms"].items()}
        drawn.append(_bars(pulls, "An image of ten layers, pulled by skopeo", "s", folder / "pulls.png"))
    if "store_sizes" in found:
        drawn.append(_growth(found["store_sizes"], folder / "growth.png"))
    return drawn


def _bars(figures: dict[str, float], title: str, unit: str, file: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=_SIZE, layout="constrained")
    names = sorted(figures, key=figures.__getitem__, reverse=True)
    bars = axes.barh(names, [figures[name] for name in names])
    axes.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=8)
    axes.set_xlabel(unit)
    axes.set_title(title, fontsize=10)
    axes.margins(x=0.12)
    figure.savefig(file)
    pyplot.close(figure)
    return file


def _growth(sizes: list[dict[str, float]], file: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=_SIZE, layout="constrained")
    digests = [size["digests"] for size in sizes]
    axes.plot(digests, [size["lookup_us"] for size in sizes], "o-", label="a look-up")
    axes.plot(digests, [size["redis_us"] for size in sizes], "o-", label="of it in Redis")
    axes.set_xscale("log")
    axes.set_ylim(0)
    axes.set_xlabel("digests in the store")
    axes.set_ylabel("µs")
    axes.set_title("What a look-up takes as the store grows", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(file)
    pyplot.close(figure)
    return file
