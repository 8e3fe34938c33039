"""The planted faults are changes of texts that are there: cheap, where planting all takes many minutes (plant.py)."""

from __future__ import annotations

import pytest

from tests.model.faults import FAULTS, Edit
from tests.model.plant import ROOT

EDITS = [pytest.param(edit, id=f"{fault.name}-{n}") for fault in FAULTS for n, edit in enumerate(fault.edits)]


@pytest.mark.parametrize("edit", EDITS)
def test_a_faults_text_is_in_its_file_once(edit: Edit) -> None:
    assert (ROOT / edit.file).read_text(encoding="utf-8").count(edit.old) == 1
    assert edit.new != edit.old


def test_faults_have_names_of_their_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
