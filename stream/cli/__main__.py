"""``python -m stream.cli``: how a supervisor starts commands of ours."""

from stream.cli import main

main()
