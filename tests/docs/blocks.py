"""Command blocks of the pages: those that are run, and those that are not.

    <!-- run -->
    ```sh
    geo-extproc explain HEAD /v2/group/app/manifests/v1
    ```

    ```text
    decision   …
    ```

A block with `<!-- run -->` before it is run by bash, in the page's order, in one shell for the page; the block `text`
behind it, if there is one, is what it prints: `…` stands for anything within a line, and alone on a line for lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_BLOCK: Final = re.compile(
    r"^(?P<run><!-- run -->\n)?^ *```(?:sh|shell|console|bash)\n(?P<code>.*?)^ *```$"
    r"(?:\n\n```text\n(?P<said>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    page: str
    """Its path in the checkout."""
    run: bool
    code: str
    said: str | None
    """What it prints, where the page says so."""

    @property
    def title(self) -> str:
        """Page and first line."""
        return f"{self.page}: {self.code.strip().splitlines()[0].strip()}"

    def prints(self, output: str) -> bool:
        """Whether that is what the page says."""
        lines = [] if self.said is None else self.said.splitlines()
        pattern = "".join(r"(?:.*\n)*" if line.strip() == "…" else _line(line) for line in lines)
        return re.fullmatch(pattern, _tidy(output)) is not None


def _line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.rstrip().split("…")) + r"\n"


def _tidy(output: str) -> str:
    """Without carriage returns, and blanks at ends of lines."""
    return "".join(f"{line.rstrip()}\n" for line in output.strip().splitlines())


def blocks() -> Iterator[Block]:
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for found in _BLOCK.finditer(page.read_text()):
            yield Block(name, found["run"] is not None, found["code"], found["said"])
