"""`python -m clopos_assets` is the command line of :mod:`clopos_assets.cli`."""

from clopos_assets.cli import main

main()
