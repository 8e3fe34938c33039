"""How protobuf messages are merged, on their plain documents: as Istio does with a patch `MERGE`."""

from __future__ import annotations

import copy
from typing import Any


def merge(into: dict[str, Any], value: dict[str, Any]) -> None:
    """What repeats is appended, messages are merged field by field, scalars replaced.

    A zero has no effect: protobuf does not tell it from a field that is not there. Durations are text ("0s") here,
    and replaced, as Istio's own merge does. Raises ValueError for a zero, since whoever writes one means something.
    """
    for key, new in value.items():
        old = into.get(key)
        if isinstance(new, dict) and isinstance(old, dict) and old.get("@type") == new.get("@type"):
            merge(old, new)
        elif isinstance(new, list) and isinstance(old, list):
            old.extend(copy.deepcopy(new))
        elif new in (0, "", False) and not isinstance(new, (dict, list)):
            raise ValueError(f"{key} is {new!r}: a merge does not see it")
        else:
            into[key] = copy.deepcopy(new)
