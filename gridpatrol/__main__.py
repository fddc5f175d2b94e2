"""`python -m gridpatrol` is the command `gridpatrol`."""

from gridpatrol.cli import main

main(prog_name="gridpatrol")
