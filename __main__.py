"""``python -m sambench`` and the script ``sambench``."""

import sys


def main() -> None:
    """Run the command line; an interrupt before it is imported is no traceback either."""
    try:
        from sambench.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
