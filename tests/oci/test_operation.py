"""The operation as a value."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from extproc.oci.operation import Kind, Operation


def test_operation_is_frozen_and_hashable() -> None:
    operation = Operation(Kind.API_BASE, "GET")
    with pytest.raises(FrozenInstanceError):
        operation.kind = Kind.CATALOG  # type: ignore[misc]
    assert len({operation, Operation(Kind.API_BASE, "GET")}) == 1


def test_kinds_are_distinct_words() -> None:
    values = [kind.value for kind in Kind.__members__.values()]
    assert len(values) == len(set(values)) == len(Kind.__members__)
