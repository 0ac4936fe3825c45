"""``python -m stream.cli``: the way in which a supervisor starts our commands."""

from stream.cli import main

main()
