"""``python -m sambench.cli``, where the script ``sambench`` is not on the path."""

from . import main

if __name__ == "__main__":
    main()
