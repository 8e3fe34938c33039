"""How a result is printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any


class OutputError(Exception):
    """The result cannot be written; the message names the path and the remedy."""


class Output(Enum):
    """The form of a result."""

    TEXT = "text"
    JSON = "json"


def print_result(document: Mapping[str, Any], lines: Iterable[str], output: Output) -> None:
    """`document` as one line of JSON, or `lines` for people. Raises OutputError."""
    print_text((json.dumps(document) if output is Output.JSON else "\n".join(lines)) + "\n")


def print_text(text: str) -> None:
    """To standard output, and out of its buffer. Raises OutputError, and BrokenPipeError, which ends the command."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(
            f"cannot write to standard output: {error.strerror}; send it to a file or a disk with room"
        ) from error
