"""`python -m detector`, for when the `detector` command is not on the path."""

from detector.cli import main

main()
