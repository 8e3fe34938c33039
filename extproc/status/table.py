"""The documents of `reports` for people: at a terminal, or as plain lines in a pipe."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from extproc.status.words import short, span

Document = Mapping[str, Any]

_PIPE_WIDTH: Final = 10_000
"""Columns where there is no terminal: each row is one line, however long."""
_MOST_TOMBSTONES: Final = 20


def print_site(document: Document, stream: TextIO) -> None:
    _print(_site(document), stream)


def print_name(document: Document, stream: TextIO) -> None:
    _print(_name(document), stream)


def _print(parts: Iterator[RenderableType], stream: TextIO) -> None:
    at_terminal = stream.isatty()
    target = stream if at_terminal else io.StringIO()
    console = Console(file=target, width=None if at_terminal else _PIPE_WIDTH, highlight=False, markup=False)
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(part)
    if isinstance(target, io.StringIO) and not at_terminal:
        # Tables fill their lines with spaces, which are of no use in a file.
        stream.writelines(f"{line.rstrip()}\n" for line in target.getvalue().splitlines())


def _site(document: Document) -> Iterator[RenderableType]:
    store, evidence, limit = document["store"], document["evidence"], document["max_staleness"]
    grid = _grid()
    if document.get("role") == "primary":
        grid.add_row("role", "primary: the registry here answers every request, and what follows is not used")
    if not store["available"]:
        grid.add_row("store", Text(store["detail"].removeprefix("the store "), "bold red"))
        yield grid
        return
    grid.add_row("store", f"{store['url']} answers in {store['round_trip'] * 1000:.1f} ms")
    cut = ", and more that were not read" if evidence["cut"] else ""
    grid.add_row("names", f"{evidence['names']}{cut}{_some(evidence['dropped_names'], ', {} dropped')}")
    grid.add_row("leases", _leases(evidence, limit))
    grid.add_row("behind", _behind(evidence))
    grid.add_row("digests", _digests(evidence))
    grid.add_row("writes", f"{evidence['marks']} under way, or not known to have ended")
    grid.add_row("lag", _site_lag(evidence))
    for line in _reconcile(document["reconcile"]):
        grid.add_row("reconcile", line)
    yield grid
    if evidence["most_behind"]:
        table = _table("most behind", "behind", "awaited", "longest wait")
        for each in evidence["most_behind"]:
            table.add_row(each["name"], str(each["behind"]), str(each["awaited"]), span(each["longest_wait"]))
        yield table


def _name(document: Document) -> Iterator[RenderableType]:
    if not document["held"]:
        yield f"nothing is held of {document['name']}"
        return
    figures, limit = document["figures"], document["max_staleness"]
    grid = _grid()
    grid.add_row("name", document["name"])
    if figures["dropped"]:
        grid.add_row("dropped", "renamed or deleted on the primary; only what was read there since counts")
    grid.add_row("leases", _leases(figures, limit))
    grid.add_row("behind", _behind(figures))
    grid.add_row("digests", _digests(figures))
    if document["marks"]:
        ends = ", ".join(span(each) for each in document["marks"])
        grid.add_row("writes", f"{len(document['marks'])} under way; taken for ended in {ends} at the latest")
    grid.add_row("last lag", span(figures["lag"]))
    yield grid
    if document["tags"]:
        table = _table("tag", "digest", "age", "lease", "here")
        for each in document["tags"]:
            fresh = "fresh" if each["fresh"] else Text("too old", "yellow")
            table.add_row(each["tag"], short(each["digest"]), span(each["age"]), fresh, _here(each["here"]))
        yield table
    if document["awaited"]:
        table = _table("awaited", "since")
        for each in document["awaited"]:
            table.add_row(short(each["digest"]), span(each["since"]))
        yield table
    deleted = [each["digest"] for each in document["digests"] if each["state"] == "deleted"]
    if deleted:
        table = _table("deleted")
        for digest in deleted[:_MOST_TOMBSTONES]:
            table.add_row(short(digest))
        if len(deleted) > _MOST_TOMBSTONES:
            table.add_row(f"and {len(deleted) - _MOST_TOMBSTONES} more: -o json")
        yield table


def _leases(figures: Document, max_staleness: float) -> str:
    old = figures["leases"] - figures["fresh_leases"]
    oldest = f"; the oldest is {span(figures['oldest_lease'])} old" if figures["leases"] else ""
    return f"{figures['fresh_leases']} fresh, {old} older than {span(max_staleness)}{oldest}"


def _behind(figures: Document) -> Text:
    wait = f", for up to {span(figures['longest_wait'])}" if figures["awaited"] else ""
    behind = _of(figures["behind"], "manifest")
    text = f"{behind} not known to be here; {figures['awaited']} of pushes that were told{wait}"
    return Text(text, "yellow" if figures["behind"] else "")


def _digests(figures: Document) -> str:
    return f"{figures['present']} present, {figures['absent']} absent, {figures['tombstones']} deleted"


def _site_lag(evidence: Document) -> str:
    if evidence["median_lag"] is None:
        return "none seen: no push was followed from the primary to here"
    return f"{span(evidence['median_lag'])} in the median of names, {span(evidence['longest_lag'])} the longest"


def _reconcile(noted: Document) -> Iterator[str]:
    last, running = noted["finished"], noted["running"]
    if last is None:
        yield "no run has finished"
    else:
        took = span(last["finished"] - last["started"])
        compared = f"{_of(last['names'], 'name')}, {_of(last['tags'], 'tag')}"
        errors = _some(last["errors"], f", {_of(last['errors'], 'name')} not wholly read")
        yield (
            f"{span(last['age'])} ago, in {took}: {compared}; {last['same']} same, "
            f"{last['behind']} behind, {last['missing']} missing, {last['extra']} extra{errors}"
        )
    if running is not None:
        yield (
            f"under way, or interrupted: names from {running['source']}, {running['names']} done, "
            f"began {span(running['age'])} ago, by {running['by']}"
        )


def _of(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _some(count: int, text: str) -> str:
    return text.format(count) if count else ""


def _here(state: str) -> Text:
    return Text(state, {"present": "green", "deleted": "red"}.get(state, "yellow"))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
