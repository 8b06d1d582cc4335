"""`python -m ppgen` is the `ppgen` command."""

from .cli import main

main(prog_name="ppgen")
