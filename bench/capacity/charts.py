"""A run's figures as pictures. The one module that knows matplotlib, of the extra `bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.capacity.result import Row
from bench.capacity.traffic import reasons_of_reads

# No display is needed to write files.
matplotlib.use("Agg")

_SIZE = (6.4, 3.6)
"""Inches."""
_DPI = 100


def draw(result: Row, folder: Path) -> list[Path]:
    """One file for each chart that the result has figures for."""
    folder.mkdir(parents=True, exist_ok=True)
    days = [row for row in result.get("days", []) if row.get("main")]
    stores = result.get("stores", [])
    drawn = []
    if days:
        drawn += [_shares(days, folder), _reasons([row for row in days if row["notifications"]], folder)]
    if stores:
        drawn += [_cores(stores, folder), _memory(stores, folder)]
    return drawn


def _shares(days: Sequence[Row], folder: Path) -> Path:
    figure, axes = _axes("Answered by the secondary, share of all reads")
    for told, line in ((True, "-"), (False, "--")):
        rows = [row for row in days if row["notifications"] is told]
        names = [row["names"] for row in rows]
        also = "" if told else ", no notifications"
        axes.plot(names, [row["local_bytes_share"] * 100 for row in rows], f"C0o{line}", label=f"bytes{also}")
        axes.plot(names, [row["local_share"] * 100 for row in rows], f"C1o{line}", label=f"reads{also}")
    axes.set_ylabel("%")
    axes.set_ylim(0, 100)
    return _written(figure, axes, folder / "shares.png")


def _reasons(days: Sequence[Row], folder: Path) -> Path:
    """Bars: by reason, what the primary answers."""
    figure, axes = pyplot.subplots(figsize=_SIZE, dpi=_DPI, layout="constrained")
    axes.set_title("Why the primary answers, share of all reads", fontsize=10)
    places = range(len(days))
    below = [0.0] * len(days)
    for reason in reasons_of_reads():
        heights = [row["at_primary"].get(reason, 0.0) / row["reads"] * 100 for row in days]
        if any(heights):
            axes.bar(places, heights, bottom=below, label=reason, width=0.6)
            below = [each + height for each, height in zip(below, heights, strict=True)]
    axes.set_xticks(list(places), [f"{row['names']:,}" for row in days])
    axes.set_xlabel("names")
    axes.set_ylabel("%")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return _saved(figure, folder / "reasons.png")


def _cores(stores: Sequence[Row], folder: Path) -> Path:
    figure, axes = _axes("Cores at 1,500 reads and 60 writes a second")
    names = [row["names"] for row in stores]
    axes.plot(names, [row["sizing"]["cores"] for row in stores], "C0o-", label="router and store client")
    axes.plot(names, [row["sizing"]["redis_cores"] for row in stores], "C3o-", label="redis-server")
    axes.set_ylabel("cores")
    axes.set_ylim(bottom=0)
    return _written(figure, axes, folder / "cores.png")


def _memory(stores: Sequence[Row], folder: Path) -> Path:
    figure, axes = _axes("Memory of Redis")
    names = [row["names"] for row in stores]
    axes.plot(names, [row["sizing"]["memory_day"] / 1e9 for row in stores], "C0o-", label="a day's evidence")
    axes.plot(names, [row["sizing"]["memory_week"] / 1e9 for row in stores], "C0o--", label="a week's (the default)")
    axes.set_ylabel("GB")
    axes.set_yscale("log")
    return _written(figure, axes, folder / "memory.png")


def _axes(title: str) -> tuple[Figure, Axes]:
    figure, axes = pyplot.subplots(figsize=_SIZE, dpi=_DPI, layout="constrained")
    axes.set_title(title, fontsize=10)
    axes.set_xscale("log")
    axes.set_xlabel("names")
    axes.grid(alpha=0.3)
    return figure, axes


def _written(figure: Figure, axes: Axes, file: Path) -> Path:
    axes.legend(fontsize=8)
    return _saved(figure, file)


def _saved(figure: Figure, file: Path) -> Path:
    figure.savefig(file)
    pyplot.close(figure)
    return file
