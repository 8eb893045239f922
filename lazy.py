"""Packages that import their modules when a name of theirs is first used (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attach(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package whose names lie in modules that are not imported yet.

    Args:
        package: the package's ``__name__``.
        places: public name -> module that defines it, relative to the package (``".registry"``).

    Raises:
        AttributeError: from the returned function, for any other name.

    Example:
        >>> attach("collections", {"Mapping": ".abc"})("Mapping").__name__
        'Mapping'
    """

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(places[name], package), name)

    return load
