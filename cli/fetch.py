"""``sambench fetch``: download data sets ahead of time."""

from typing import Annotated

import typer

from ..errors import DataError
from .console import say, tell
from .options import DataRoot, Plugins, typed


def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="data sets, as in `sambench list datasets`")],
    data: DataRoot = None,
    plugin: Plugins = None,
) -> None:
    """Download data sets, hold them to their checksums and decode them, so that runs need no network.

    What is there already is checked, and not downloaded again.
    """
    from ..datasets import DATASETS, load  # torch

    for name in names:
        DATASETS.get(name)
    failed = 0
    for name in dict.fromkeys(names):
        try:
            found = load(name, root=data)
        except DataError as error:
            tell((f"{name}: ", "red"), str(error))
            failed += 1
            continue
        shape = "x".join(map(str, found.shape))
        sizes = f"{len(found.train_labels):,} training and {len(found.test_labels):,} test images of {shape}"
        say(f"{name}: {sizes}, {len(found.classes)} classes, fingerprint {found.fingerprint[:12]}")
    if failed:
        raise DataError(f"{failed} of {len(set(names))} data sets are not here; the lines above say what to do")
    say(f"next: sambench describe {names[0]}{typed(plugin)}")
