"""`python -m extproc`, and the console script.

The imports take a second; Ctrl-C in it must end the command as it does later.
"""

import sys


def run() -> None:
    """The command line, and 130 where Ctrl-C ends it before it could say so itself."""
    try:
        from extproc.cli import main  # noqa: PLC0415

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
