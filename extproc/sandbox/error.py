"""What the sandbox says when it cannot be built."""

from __future__ import annotations


class SandboxError(Exception):
    """A part cannot start. The message is one sentence that names the part and, where known, the remedy."""

    exit_code = 1
