"""One target under atheris: `python -m tests.fuzz.one TARGET [libFuzzer's options and corpus folders]`."""

from __future__ import annotations

import gc
import sys
from itertools import count
from random import Random
from typing import Final

import atheris  # type: ignore[import-untyped]

from tests.fuzz import targets

_SEEN: Final = ["extproc", "jwt", "aiohttp"]
"""What coverage is measured in: our code, and the Python around it that sees a stranger's bytes first."""
_UNSEEN: Final = ["aiohttp.helpers"]
"""It keeps the date of each second, and would make each run another."""

_COLLECTED: Final = 256


def main(arguments: list[str]) -> None:
    name, *options = arguments
    with atheris.instrument_imports(include=_SEEN, exclude=_UNSEEN):
        check = targets.load(name)
    mutate = targets.mutator(name)

    inputs = count(1)
    # Garbage is collected after a number of inputs, not of objects: what runs then is seen as an input's branches.
    gc.disable()

    def test_one_input(data: bytes) -> None:
        check(data)
        if next(inputs) % _COLLECTED == 0:
            gc.collect()

    def either(data: bytes, longest: int, seed: int) -> bytes:
        """The target's change and the fuzzer's by turns; it trusts the mutator with the length."""
        random = Random(seed)
        found = (
            mutate(data, random) if mutate is not None and random.random() < 0.5 else atheris.Mutate(data, longest)
        )
        return bytes(found)[:longest]

    always = (f"-max_len={targets.LONGEST}", f"-dict={targets.dictionary(name)}")
    atheris.Setup([name, *always, *options], test_one_input, custom_mutator=either if mutate is not None else None)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
