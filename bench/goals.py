"""What the figures are to be, and whether they are: told, and nothing more; no run fails for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """One figure against its bound."""

    what: str
    figure: float
    bound: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


def goals(found: dict[str, Any]) -> Iterator[Goal]:
    """Of the figures that are there."""
    if "cpu_us" in found:
        cpu, added = found["cpu_us"], found["added_p50_ms"]
        yield Goal("CPU of fastlane.token ÷ go_echo", cpu["fastlane.token"] / cpu["go_echo"], 0.6)
        yield Goal("CPU of fastlane.token ÷ noop_grpcio", cpu["fastlane.token"] / cpu["noop_grpcio"], 1 / 10)
        for kind in ("digest", "tag"):
            ours = cpu[f"fastlane.{kind}"]
            yield Goal(f"CPU of fastlane.{kind} ÷ noop_grpcio", ours / cpu["noop_grpcio"], 1 / 6)
        for kind in ("token", "digest", "tag", "write"):
            ratio = added[f"fastlane.{kind}"] / added[f"grpcio.{kind}"]
            yield Goal(f"added p50 at one connection, fastlane.{kind} ÷ grpcio.{kind}", ratio, 0.5)
    if "pull_ratio" in found:
        ratios = found["pull_ratio"]
        yield Goal("pull: gateway ÷ straight from the secondary", ratios["gateway_vs_direct"], 1.05)
        yield Goal("pull: gateway ÷ warm pull-through cache", ratios["gateway_vs_pull_through_cache"], 1.0)
        yield Goal("pull: primary across the WAN ÷ gateway", ratios["primary_wan_vs_gateway"], 10, at_least=True)
    if "lookup_growth" in found:
        yield Goal("look-up with most digests ÷ with fewest", found["lookup_growth"], 1.25)
