"""The result for people and for programs."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from extproc.reconcile import report
from extproc.reconcile.summary import Counts, Summary

SUMMARY = Summary.of(
    Counts(
        names=3,
        tags=1234567,
        missing=7,
        missing_examples=tuple(f"group/app:v{number}" for number in range(7)),
        errors=1,
        error_examples=("group/app: it answered 500",),
    ),
    source="catalog",
    by="reconcile on host, pid 1",
    started=1_700_000_000.0,
    finished=1_700_000_042.25,
)


def test_every_count_has_its_row_and_its_meaning() -> None:
    lines = list(report.lines(SUMMARY))
    assert lines[0] == "names from catalog, compared in 42 s, begun 2023-11-14T22:13:20Z"
    counted = [each.name for each in fields(Counts) if not each.name.endswith("_examples")]
    rows = {line.split()[0]: line.split(maxsplit=2) for line in lines[1 : 1 + len(counted)]}
    assert list(rows) == counted
    assert all(len(row) == 3 for row in rows.values())
    assert rows["tags"][1] == "1234567"


def test_a_few_examples() -> None:
    text = "\n".join(report.lines(SUMMARY))
    assert "missing     group/app:v4\nmissing     … -o json tells more\n" in text
    assert "group/app:v5" not in text
    assert text.endswith("error       group/app: it answered 500")


def test_examples_of_every_kind() -> None:
    kinds = [each.name for each in fields(Counts) if each.name.endswith("_examples")]
    told = Counts(**dict[str, Any]({kind: (f"an example of {kind}",) for kind in kinds}))
    text = "\n".join(report.lines(Summary.of(told, source="", by="", started=0, finished=0)))
    for kind in kinds:
        assert f"\n{kind.removesuffix('_examples'):11} an example of {kind}" in text


def test_json() -> None:
    document = json.loads(json.dumps(report.document(SUMMARY)))
    assert (document["started"], document["seconds"]) == ("2023-11-14T22:13:20Z", 42.25)
    assert len(document["missing_examples"]) == 7
    assert (document["tags"], document["errors"], document["source"]) == (1234567, 1, "catalog")
