"""Documents into HTML: Jinja's templates in templates/, everything in them escaped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from extproc.page.snapshot import Snapshot
from extproc.page.verdict import Level
from extproc.page.view import HEIGHT, view
from extproc.status.words import short, span

PARTS: Final = ("verdict", "figures", "hour", "reasons", "behind", "health", "last")
"""Of the front page, by the ids of their elements: what the live feed replaces."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the page says about where it is."""

    here: str
    """URL of the registry at this site."""
    primary: str
    store: str
    """Without its password."""
    max_staleness: float


class Writing:
    """Writes pages, and the parts of the front page. Slow enough for a thread: some milliseconds."""

    def __init__(self, site: Site) -> None:
        self._templates = Environment(
            loader=PackageLoader("extproc.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"span": span, "short": _short, "share": _share, "count": _count}
        self._templates.globals |= {"site": site, "Level": Level, "HEIGHT": HEIGHT, "PARTS": PARTS}

    def page(self, template: str, **values: Any) -> str:
        """The template `template` as a whole page."""
        return self._templates.get_template(f"{template}.html").render(values)

    def front(self, now: Snapshot) -> str:
        return self.page("front", parts=self.parts(now), request="", query="")

    def parts(self, now: Snapshot) -> dict[str, str]:
        """Each of PARTS, as the front page has it now."""
        shown = view(now)
        return {part: self.page(f"parts/{part}", view=shown, now=now) for part in PARTS}


def _short(reference: str | None) -> str:
    return "" if reference is None else short(reference) if ":" in reference else reference


def _share(share: float | None) -> str:
    """Never 100 % or 0 % of something that is not all or nothing."""
    if share is None:
        return "–"
    near = "<1%" if 0 < share < 0.01 else ">99%" if 0.99 < share < 1 else f"{share:.0%}"
    return near.replace("%", "\N{NO-BREAK SPACE}%")


def _count(number: int) -> str:
    """12,345"""
    return f"{number:,}"
