"""Command-line options made from pydantic models: every field is a flag, with its own help and default."""

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..errors import ConfigError
from ..hyper import Value

PANEL = "The run (every field of its spec)"


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every field of :class:`RunSpec`; the command gets those that were given as ``fields``."""
    from ..benchmarks.spec import RunSpec  # torch, for what a spec refers to

    return model_options(RunSpec, "fields", PANEL, skip={"hyper"})(command)


def model_options(
    model: type[BaseModel], argument: str, panel: str, skip: set[str]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for every field of a model to a command, which gets those that were given as one dictionary.

    Args:
        model: the fields and their descriptions.
        argument: name of the dictionary among the command's arguments.
        panel: heading of the options in the help.
        skip: fields that are no options, or options of the command itself.
    """
    names = [name for name in model.model_fields if name not in skip]

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            given = {name: arguments.pop(name) for name in names if name in arguments}
            chosen = {name: value for name, value in given.items() if value is not None}
            return command(**{argument: chosen}, **arguments)

        own = [p for name, p in inspect.signature(command).parameters.items() if name != argument]
        options = [_option(name, model.model_fields[name], panel) for name in names]
        wrapper: Any = call
        wrapper.__signature__ = inspect.Signature([*own, *options])
        wrapper.__annotations__ = {p.name: p.annotation for p in [*own, *options]}
        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        return wrapper

    return add


def _option(name: str, field: FieldInfo, panel: str) -> inspect.Parameter:
    help_text = field.description or ""
    choices = get_args(field.annotation) if get_origin(field.annotation) is not None else ()
    texts = [choice for choice in choices if isinstance(choice, str)]
    if texts:
        help_text += f" ({' | '.join(texts)})"
    if field.default not in ("", None):
        shown = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        help_text += f" \\[default: {shown}]"
    flag = f"--{name.replace('_', '-')}"
    kind: Any = bool if field.annotation is bool else str
    option = typer.Option(
        None, flag if kind is str else f"{flag}/--no-{flag[2:]}", help=help_text, rich_help_panel=panel
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind | None)


def read_settings(settings: list[str]) -> dict[str, Value]:
    """Read ``--set`` texts: ``["rho=0.1", "lam=1-1/t"]`` becomes ``{"rho": 0.1, "lam": "1-1/t"}``.

    Raises:
        ConfigError: a text has no ``=``.

    Example:
        >>> read_settings(["rho=0.1", "lam=1-1/t"])
        {'rho': 0.1, 'lam': '1-1/t'}
    """
    values: dict[str, Value] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set {setting!r} is not valid; write NAME=VALUE, as in --set rho=0.1")
        values[name.strip()] = _number(text.strip())
    return values


def _number(text: str) -> Value:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def read_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Bring option texts into the form that the spec reads: ``none`` is nothing, commas separate numbers."""
    from ..benchmarks.spec import RunSpec

    read: dict[str, Any] = {}
    for name, value in fields.items():
        if (
            isinstance(value, str)
            and value.lower() == "none"
            and type(None) in get_args(RunSpec.model_fields[name].annotation)
        ):
            read[name] = None
        elif name == "milestones":
            read[name] = [part.strip() for part in value.split(",")]
        else:
            read[name] = value
    return read
