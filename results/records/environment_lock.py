"""``environment.lock``: the environment that the records of a store were made in, for ``pip install -r``.

    python -m sambench.results.records.environment_lock results

What records name (torch, numpy, timm, torchvision, Python) is theirs; packages below it, which decide no number, are
those that are installed where the file is made, next to the same versions.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ...atomic import atomic_write_bytes
from ...errors import StateError
from .record import Environment, RunRecord
from .store import Store

LOCK = "environment.lock"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_NO_PACKAGES = ("cuda", "cudnn")


def pins(environment: Environment) -> dict[str, str]:
    """Return the packages that a record names with their versions; torch's without its build (``+cu130``)."""
    named = {name: one for name, one in environment.libraries.items() if name not in _NO_PACKAGES}
    return {"torch": environment.torch.partition("+")[0], **named}


def locked(records: Iterable[RunRecord]) -> tuple[str, dict[str, str]]:
    """Return the Python and the packages that most of the records were made with."""
    made = Counter((one.environment.python, *sorted(pins(one.environment).items())) for one in records)
    (python, *named), _ = max(made.items(), key=lambda item: (item[1], item[0]))
    return python, dict(named)


def lock_text(records: Iterable[RunRecord]) -> str:
    """Write the lock file of records.

    Raises:
        StateError: other versions are installed here than the records name.
    """
    python, named = locked(records)
    here = {name: version(name).partition("+")[0] for name in {*_below("sambench"), *named}}
    if wrong := [f"{name} {here[name]} ({one} in the records)" for name, one in named.items() if here[name] != one]:
        raise StateError(f"installed is {', '.join(wrong)}; make the lock file where the records' versions are")
    return "\n".join(
        [
            f"# The environment that the records here were made in, with Python {python}: `pip install -r`. They name:",
            *(f"{name}=={one}" for name, one in sorted(named.items())),
            "# Below them, as installed where this file was made:",
            *(f"{name}=={here[name]}" for name in sorted(here.keys() - named.keys())),
            "",
        ]
    )


def _below(package: str) -> list[str]:
    """List the packages that one depends on, directly or not, without extras; itself is not among them."""
    found, ahead = dict[str, None](), [package]
    while ahead:
        for line in requires(ahead.pop()) or ():
            name = _NAME.match(line)
            if name and ";" not in line and (one := re.sub("[-_.]+", "-", name[0]).lower()) not in found:
                try:
                    version(one)
                except PackageNotFoundError:
                    continue
                found[one] = None
                ahead.append(one)
    return sorted(found)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    atomic_write_bytes(folder / LOCK, lock_text(Store(folder).records()).encode())
    print(folder / LOCK)
