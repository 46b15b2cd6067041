"""`clopos-assets`, and `python -m clopos_assets`: the command line of :mod:`clopos_assets.cli`."""

import signal


def main() -> None:
    """Run the command line. An interrupt while its modules are read, which takes seconds, ends it without a word."""
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from clopos_assets import cli

    signal.signal(signal.SIGINT, interrupt)
    cli.main()


if __name__ == "__main__":
    main()
