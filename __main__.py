"""``python -m sambench``, where the script ``sambench`` is not on the path."""

from sambench.cli import main

if __name__ == "__main__":
    main()
