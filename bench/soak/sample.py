"""What a process holds, as the kernel has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """Of one process. Sizes in bytes."""

    resident: int
    private: int
    """Written to by it, and nobody else's."""
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Sample:
        """Raises OSError when it is gone."""
        proc = Path(f"/proc/{pid}")
        rows = (line.split() for line in (proc / "smaps_rollup").read_text().splitlines()[1:])
        sizes = {name.rstrip(":"): int(size) * 1024 for name, size, *_ in rows}
        return cls(
            sizes["Rss"],
            sizes["Private_Dirty"],
            sum(1 for _ in (proc / "fd").iterdir()),
            sum(1 for _ in (proc / "task").iterdir()),
        )
