"""Environment variables that look like settings and are none.

A misspelt key of a table is the model's to find: it is given `GEO_EXTPROC_<TABLE>__<KEY>` as that table's key. What
never reaches a model is found here: a misspelt table, and one underscore where two separate table and key.
Kubernetes sets GEO_EXTPROC_SERVICE_HOST and the like for a Service named geo-extproc: not ours, and no fault.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from extproc.settings.section import Section


def misspelt(variables: Iterable[str], tables: dict[str, Any], prefix: str, delimiter: str) -> str | None:
    """The first fault among the names of variables, in one sentence. `tables`: annotations by name."""
    settings = {"_".join(path): delimiter.join(path) for path in _paths(tables)}
    for variable in sorted(variables):
        name = variable.upper().removeprefix(prefix).lower()
        if name == variable.lower():
            continue  # another program's
        meant = settings.get(name.replace(delimiter, "_"))
        if meant is not None and meant != name:
            return (
                f"the environment variable {variable} is not a setting: table and key are separated by two "
                f"underscores; call it {prefix}{meant.upper()}"
            )
        table, separator, _ = name.partition(delimiter)
        if separator and table not in tables:
            return (
                f"the environment variable {variable} is not a setting; check its spelling or remove it "
                f"(tables: {', '.join(sorted(tables))})"
            )
    return None


def _paths(annotations: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, annotation in annotations.items():
        yield (*above, key)
        section = _section(annotation)
        if section is not None:
            below = {name: field.annotation for name, field in section.model_fields.items()}
            yield from _paths(below, (*above, key))


def _section(annotation: Any) -> type[Section] | None:
    """The table that a value is, where it is one, or may be left out."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    for kind in typing.get_args(annotation) if union else (annotation,):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None
