"""`python -m extproc`: the same as `geo-extproc`."""

from extproc.cli import main

main()
