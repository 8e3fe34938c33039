"""The command line: thin. Each command reads its input, calls one function, and prints what it gave.

One file for each group of commands. A new command takes four steps:

1. a file here with `@cli.command("name")` from root.py, its options from option.py, its result by `print_result`
   of output.py (`-o json` where there is output), the store by `with_store` of store.py;
2. imports of what it works with inside the function, not at the top: every command loads every file here, and
   `serve` must not pay for the sandbox, nor `--help` for anything;
3. its exceptions, one sentence each that names the value and the remedy, in exit_code.py; arguments that do not fit
   together are usage.py's UsageError;
4. its module in the import below, which registers it.

Exit codes: 0, 1 for a finding or a failure while running, 2 for unusable input, 130 after Ctrl-C.
"""

from __future__ import annotations

from extproc.cli import config, doctor, explain, reconcile, sandbox, serve, status
from extproc.cli.root import cli, main

__all__ = ["cli", "config", "doctor", "explain", "main", "reconcile", "sandbox", "serve", "status"]
