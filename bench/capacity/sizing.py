"""What the site needs: the day's shares (day.py) times what each kind of exchange costs (cost.py), and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.capacity.books import Books
from bench.capacity.cost import Cost
from bench.capacity.fill import Evidence, Memory
from bench.capacity.size import mean_layer_size
from bench.capacity.workload import DAY, WEEK, Workload


@dataclass(frozen=True)
class Sizing:
    """For one number of names at the workload's rates."""

    cpu: float
    """Seconds of router and store for each request, tokens and notifications with it."""
    redis_cpu: float
    """Seconds of redis-server for each request."""
    redis_commands: float
    """Sent to Redis for each request."""
    redis_inner: float
    """Run by scripts inside Redis for each request."""
    redis_wire: float
    """Bytes between a worker and Redis for each request, both ways."""
    cores: float
    """That decide, at the workload's requests a second, each fully used."""
    redis_cores: float
    """Of the one core that a Redis has for commands."""
    wan_without: float
    """Bits a second of layers that reads take across the WAN without the gateway: by the mean size, for in a sample a
    few large layers of busy names make noise. The share is the sample's."""
    wan_with: float
    wan_pushes: float
    """Bits a second of layers that clients here push to the primary, with the gateway and without."""
    wan_replication: float
    """Bits a second of layers that replication brings, with the gateway and without."""
    wan_saved: float
    """Bytes a day."""
    memory_day: float
    """Bytes that a day's evidence takes: measured, but of many names reckoned (fill.py)."""
    memory_week: float
    """Bytes that a week's takes, which is what is kept by default: reckoned from the measured bytes of each part."""
    day_leases: int
    day_digests: int
    week_leases: int
    week_digests: int


def sizing(workload: Workload, books: Books, costs: Mapping[str, Cost], memory: Memory) -> Sizing:
    requests = books.requests
    # One token for each pull and each push.
    tokens = (workload.pulls + workload.pushes) / (workload.reads + workload.writes) * requests
    many = {**books.kinds, "token": tokens}

    def mean(of: str) -> float:
        return sum(float(getattr(costs[kind], of)) * count for kind, count in many.items()) / requests

    commands = sum(sum(costs[kind].commands.values()) * count for kind, count in many.items()) / requests
    without = workload.pulls * (1 - workload.unchanged) * workload.missing * workload.layers * mean_layer_size() * 8
    pushed = workload.pushes * workload.own_layers * mean_layer_size() * 8
    rate = workload.reads + workload.writes
    day, week = Evidence(workload).total(), Evidence(workload, WEEK).total()
    return Sizing(
        cpu=mean("cpu"),
        redis_cpu=mean("redis_cpu"),
        redis_commands=commands,
        redis_inner=mean("inner"),
        redis_wire=mean("wire"),
        cores=mean("cpu") * rate,
        redis_cores=mean("redis_cpu") * rate,
        wan_without=without,
        wan_with=without * (1 - books.local_bytes_share),
        wan_pushes=pushed,
        wan_replication=pushed * (1 + workload.elsewhere),
        wan_saved=without * books.local_bytes_share * DAY / 8,
        memory_day=memory.of(workload.names, day),
        memory_week=memory.of(workload.names, week),
        day_leases=day.leases,
        day_digests=day.digests,
        week_leases=week.leases,
        week_digests=week.digests,
    )
