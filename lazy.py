"""Packages that import their modules when a name of theirs is first used (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attach(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package whose names lie in modules that are not imported yet.

    Args:
        package: the package's ``__name__``.
        modules: module, relative to the package (``".registry"``) -> the public names that it defines, with spaces
            between them.

    Raises:
        AttributeError: from the returned function, for any other name.

    Example:
        >>> attach("collections", {".abc": "Mapping Sequence"})("Mapping").__name__
        'Mapping'
    """
    places = {name: module for module, names in modules.items() for name in names.split()}

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(places[name], package), name)

    return load
