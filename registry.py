"""Plug-ins of every kind find themselves: as a file of their package, by entry point, or in a file that is named.

A kind (step rules, loss hooks, sampling policies, weight averages) is one :class:`Registry`. Whatever registers itself
is known by name from then on; nobody else is edited.
"""

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from fnmatch import fnmatch
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import ConfigError, unknown

ENTRY_POINTS = "sambench.variants"
"""Group of entry points; the module that one names may register plug-ins of any kind."""

REGISTRIES: "list[Registry[Any]]" = []
Member = TypeVar("Member")


def file_of(member: Any) -> str:
    """Return the file that defines a plug-in: a class, or metadata that names one as ``cls``."""
    return inspect.getsourcefile(getattr(member, "cls", member)) or "unknown"


def _module(member: Any) -> str:
    return getattr(member, "cls", member).__module__


def source_hash(member: Any) -> str:
    """Return the sha256 of that file: a record made by other code is recognizable as such."""
    return hashlib.sha256(Path(file_of(member)).read_bytes()).hexdigest()


class Registry(Generic[Member]):
    """The plug-ins of one kind, by name.

    Args:
        noun: what one of them is called in messages.
        package: a package whose modules are all imported before the members are first read.

    Example:
        >>> hats = Registry("hat")
        >>> hats.add("bowler", dict)
        >>> hats.get("bowlr")
        Traceback (most recent call last):
        sambench.errors.ConfigError: unknown hat 'bowlr'; did you mean 'bowler'? Valid: bowler
        >>> REGISTRIES.remove(hats)
    """

    def __init__(self, noun: str, package: str = ""):
        self.noun, self.package = noun, package
        self.members: dict[str, Member] = {}
        self.found = False
        REGISTRIES.append(self)

    def add(self, name: str, member: Member) -> None:
        """Register a member.

        Raises:
            ConfigError: the name is taken; the message names both files.
        """
        if name in self.members:
            raise ConfigError(
                f"{self.noun} {name!r} is already registered by {file_of(self.members[name])}; "
                f"{file_of(member)} must choose another name"
            )
        self.members[name] = member

    def register(self, cls: Any) -> Any:
        """Register a class under its own ``name``: the decorator of plug-ins whose metadata are class attributes.

        Raises:
            ConfigError: it has no name of its own, or the name is taken.
        """
        if not isinstance(vars(cls).get("name"), str):
            raise ConfigError(f"{self.noun} {cls.__qualname__} has no name: give the class an attribute name = '...'")
        self.add(cls.name, cls)
        return cls

    def discover(self) -> None:
        """Import what registers members of this kind, once."""
        if self.found:
            return
        self.found = True
        if self.package:
            for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
                importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=ENTRY_POINTS):
            point.load()

    def get(self, name: str) -> Member:
        """Return a member; an unknown name is an error that lists the valid ones."""
        self.discover()
        if name not in self.members:
            raise unknown(self.noun, name, self.members)
        return self.members[name]

    def all(self, pattern: str = "*") -> list[Member]:
        """Return the members whose names match a shell pattern, in alphabetical order."""
        self.discover()
        return [self.members[name] for name in sorted(self.members) if fnmatch(name, pattern)]


def load_plugin(path: str | Path) -> list[str]:
    """Import a file that registers plug-ins of any kind, and return the names it added.

    Raises:
        ConfigError: the file does not exist, fails on import, or registers nothing.
    """
    for kind in REGISTRIES:
        kind.discover()
    file = Path(path).resolve()
    if not file.is_file():
        raise ConfigError(f"plugin {str(path)!r} does not exist; give the path of a Python file")
    module_name = f"sambench_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if module_name in sys.modules:
        return [name for kind in REGISTRIES for name, member in kind.members.items() if _module(member) == module_name]
    before = [dict(kind.members) for kind in REGISTRIES]
    try:
        _import(path, file, module_name)
    except ConfigError:
        for kind, members in zip(REGISTRIES, before, strict=True):  # half a plugin is none
            kind.members = members
        raise
    added = [sorted(set(kind.members) - set(members)) for kind, members in zip(REGISTRIES, before, strict=True)]
    if not any(added):
        raise ConfigError(
            f"plugin {str(path)!r} registers nothing; decorate a StepRule with @register(...), or a loss hook, a "
            "sampling policy or a weight average with @HOOKS.register, @SAMPLERS.register or @AVERAGES.register"
        )
    return sorted({name for names in added for name in names})


def _import(path: str | Path, file: Path, module_name: str) -> None:
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugin {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"plugin {str(path)!r} fails on import: {type(error).__name__}: {error}") from error
