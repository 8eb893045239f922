"""One mechanism for everything that is found by name: variants, models, data sets, theory problems, checks, ...

A kind is one :class:`Registry`. Whatever registers itself is known by name from then on; nobody else is edited. It is
found as a module of the registry's package, by entry point, or in a file that is named (``--plugin``).
"""

import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from functools import cache, partial
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import ConfigError, unknown

ENTRY_POINTS = "sambench.variants"
"""Group of entry points; the module that one names may register plug-ins of any kind."""

REGISTRIES: "list[Registry[Any]]" = []
"""The registries whose modules are imported."""

ADDED: "list[tuple[Registry[Any], str]]" = []
"""Registry and name of everything that was registered from outside of this package, in that order."""

_NAME = re.compile("[a-z][a-z0-9_]*")
"""What plug-ins may be called: a name stands in records, file names, tables and commands."""

_loaded: dict[str, list[str]] = {}
"""What each file that was named has added, by the name of its module."""

Member = TypeVar("Member")
Definition = TypeVar("Definition", bound=Callable[..., Any])
Named = TypeVar("Named")


def definition_of(member: Any) -> Any:
    """Return the class or function that makes a member, which metadata name as ``cls`` or ``function``."""
    found = getattr(member, "cls", None) or getattr(member, "function", member)
    while isinstance(found, partial):
        found = found.func
    return found if inspect.isclass(found) or inspect.isroutine(found) else type(found)


def file_of(member: Any) -> str:
    """Return the file that defines a member: a class, a function, or metadata of one."""
    try:
        return inspect.getsourcefile(definition_of(member)) or "unknown"
    except TypeError:  # it is written in C
        return "unknown"


def source_hash(member: Any) -> str:
    """Return the sha256 of that file: a record made by other code is recognizable as such."""
    return hashlib.sha256(Path(file_of(member)).read_bytes()).hexdigest()


def is_built_in(member: Any) -> bool:
    """Tell whether a member is part of this package."""
    return str(definition_of(member).__module__).partition(".")[0] == __name__.partition(".")[0]


def summary_of(member: Any) -> str:
    """Return one line on a member: its ``summary``, or the first line of its docstring."""
    return getattr(member, "summary", None) or (inspect.getdoc(member) or "").partition("\n")[0]


@cache
def has_parameters(name: str) -> "re.Pattern[str] | None":
    r"""Return the pattern of a name with parameters, which stands for a family; None for any other name.

    ``{word}`` stands for a positive whole number, capitals after a colon for any text.

    Example:
        >>> has_parameters("wrn{depth}_{width}").fullmatch("wrn16_4").groups()
        ('16', '4')
        >>> has_parameters("parquet:DIR").fullmatch("parquet:data/cifar").groups()
        ('data/cifar',)
        >>> has_parameters("resnet18")
    """
    pattern = re.sub(r"\\\{\w+\\\}", r"([1-9][0-9]*)", re.escape(name))
    pattern = re.sub(r":[A-Z]+$", r":(.*)", pattern)
    return None if pattern == re.escape(name) else re.compile(pattern)


def _parameters(own: str, name: str) -> tuple[str, ...] | None:
    """Return what a name fills into the one that was registered, or None where it is another."""
    pattern = has_parameters(own)
    if pattern is None:
        return () if own == name else None
    match = pattern.fullmatch(name)
    return match and match.groups()


class Registry(Generic[Member]):
    """The members of one kind, by name.

    A name may have parameters (see :func:`has_parameters`): its member is found under every name that fits.

    Args:
        noun: what one of them is called in messages.
        package: a package whose modules are all imported before the members are first read.

    Example:
        >>> hats = Registry("hat")
        >>> hats.add("bowler{size}", dict)
        >>> hats.resolve("bowler7")
        (<class 'dict'>, ('7',))
        >>> hats.get("bowlr")
        Traceback (most recent call last):
        sambench.errors.ConfigError: unknown hat 'bowlr'; did you mean 'bowler{size}'? Valid: bowler{size}
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
            ConfigError: the name is taken, by itself or by a family (the message names both files), or is no name.
        """
        if not isinstance(name, str):
            raise ConfigError(f"{self.noun} {name!r:.80} of {file_of(member)} needs a text as its name")
        if not is_built_in(member):
            self.discover()  # no plug-in takes the name of what is found later
        for other in self.members:
            if other == name or _parameters(other, name) is not None or _parameters(name, other) is not None:
                raise ConfigError(
                    f"{self.noun} {name!r} is already registered by {file_of(self.members[other])}; "
                    f"{file_of(member)} must choose another name"
                )
        if not is_built_in(member) and not _NAME.fullmatch(re.sub(r"\{\w+\}|:[A-Z]+$", "", name)):
            raise ConfigError(
                f"{self.noun} {name!r:.80} of {file_of(member)} needs another name: small letters, digits and '_', "
                "with a letter first"
            )
        self.members[name] = member
        if not is_built_in(member):
            ADDED.append((self, name))

    def register(self, named: Named) -> Named:
        """Register what has a ``name``: metadata, or a class with its metadata as attributes (as a decorator).

        Raises:
            ConfigError: it has no name of its own, or the name is taken.
        """
        member: Any = named
        if not isinstance(vars(member).get("name"), str):
            raise ConfigError(
                f"{self.noun} {member.__qualname__} has no name: give the class an attribute name = '...'"
            )
        self.add(member.name, member)
        return named

    def named(self, name: str) -> Callable[[Definition], Definition]:
        """Register the function below under a name; the first line of its docstring says what it is.

        Raises:
            ConfigError: the name is taken.
        """

        def add(definition: Definition) -> Definition:
            member: Any = definition
            self.add(name, member)
            return definition

        return add

    def discover(self) -> None:
        """Import what registers members of this kind, once."""
        if self.found:
            return
        self.found = True
        if self.package:
            for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
                importlib.import_module(f"{self.package}.{module.name}")
        load_entry_points()

    def resolve(self, name: str) -> tuple[Member, tuple[str, ...]]:
        """Return a member, and what the name fills in where the member is a family.

        Raises:
            ConfigError: an unknown name; the message lists the valid ones.
        """
        if (found := self._find(name)) is None:
            examples = {example for member in self.members.values() for example in getattr(member, "examples", ())}
            raise unknown(self.noun, name, {*self.members, *examples})
        return found

    def get(self, name: str) -> Member:
        """Return a member; an unknown name is an error that lists the valid ones."""
        return self.resolve(name)[0]

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def _find(self, name: str) -> tuple[Member, tuple[str, ...]] | None:
        self.discover()
        if name in self.members and not has_parameters(name):
            return self.members[name], ()
        found = ((member, _parameters(own, name)) for own, member in self.members.items())
        return next(((member, parameters) for member, parameters in found if parameters is not None), None)

    def names(self, pattern: str = "*") -> list[str]:
        """Return the names that match a shell pattern, in alphabetical order."""
        self.discover()
        return sorted(name for name in self.members if fnmatch(name, pattern))

    def all(self, pattern: str = "*") -> list[Member]:
        """Return the members whose names match a shell pattern, in alphabetical order."""
        return [self.members[name] for name in self.names(pattern)]

    def summaries(self, pattern: str = "*") -> dict[str, str]:
        """Return the names that match a shell pattern, in alphabetical order, each with one line on its member."""
        return {name: summary_of(self.members[name]) for name in self.names(pattern)}


@cache
def load_entry_points() -> None:
    """Import what installed packages name in the group of entry points, once."""
    for point in entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"the installed plug-in {point.value!r} fails on import: {type(error).__name__}: {error}; repair or "
                "uninstall its package"
            ) from error


def load_plugin(path: str | Path) -> list[str]:
    """Import a file that registers plug-ins of any kind, or a module by its name, and return the names it added.

    Raises:
        ConfigError: the file or module does not exist, fails on import, or registers nothing.
    """
    load_entry_points()
    if module_of_plugin(str(path)):
        file, module_name = None, str(path)
    else:
        file = Path(os.path.realpath(path)) if "\0" not in str(path) else Path()
        if not file.is_file() or file.suffix != ".py":
            problem = "is no Python file" if file.is_file() else "does not exist"
            raise ConfigError(f"plugin {str(path)!r} {problem}; give the path of a Python file, NAME.py")
        module_name = f"sambench_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if module_name in _loaded:
        return _loaded[module_name]
    start = len(ADDED)
    try:
        _import(path, file, module_name)
    except (ConfigError, KeyboardInterrupt):
        for registry, name in ADDED[start:]:  # half a plugin is none
            registry.members.pop(name, None)
        del ADDED[start:]
        raise
    names = sorted({name for _, name in ADDED[start:]})
    if not names and file is None:  # it was imported before, by its entry point say
        own = [(name, definition_of(kind.members.get(name))) for kind, name in ADDED]
        names = sorted({name for name, one in own if f"{one.__module__}.".startswith(f"{module_name}.")})
    if not names:
        if file is not None:
            del sys.modules[module_name]
        raise ConfigError(
            f"plugin {str(path)!r} registers nothing; decorate a StepRule with @register(...), a function with "
            "@register_model(...) or @register_dataset(...), or what the other registries take with their decorators "
            "(@HOOKS.register, @PROBLEMS.named(...)): docs/plugins.md"
        )
    _loaded[module_name] = names
    return names


def module_of_plugin(path: str) -> bool:
    """Tell whether a plug-in is named by its module and not by its file.

    Example:
        >>> module_of_plugin("my_rules.sam"), module_of_plugin("my_rules.py"), module_of_plugin("./rules")
        (True, False, False)
    """
    return re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", path) is not None and not path.endswith(".py")


class _FromSource(SourceFileLoader):
    """Reads the file and no bytecode of it, which is told from another of the same second and size by nothing."""

    def path_stats(self, path: Any) -> Any:
        raise OSError("no bytecode is read or written")


def _import(path: str | Path, file: Path | None, module_name: str) -> None:
    try:
        if file is None:
            importlib.import_module(module_name)
            return
        spec = importlib.util.spec_from_file_location(module_name, file, loader=_FromSource(module_name, str(file)))
        if spec is None or spec.loader is None:
            raise ConfigError(f"plugin {str(path)!r} is not a Python file")
        module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except BaseException as error:
        if file is not None:
            sys.modules.pop(module_name, None)
        if isinstance(error, ConfigError | KeyboardInterrupt):
            raise
        raise ConfigError(f"plugin {str(path)!r} fails on import: {type(error).__name__}: {error}") from error
