"""`python -m cli`, where the command `clearwell` is not on the path."""

from cli.main import main

main(prog_name="clearwell")
