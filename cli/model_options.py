"""Command-line options made from pydantic models, where every field is a flag, and from functions."""

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..errors import ConfigError
from ..hyper import Value


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
        return _with_parameters(call, command, [*own, *options])

    return add


def made_of_options(**makers: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a command take what functions make of options: each of these arguments becomes the options of its function.

    Args:
        **makers: argument of the command -> function whose parameters are the options; called in this order.
    """
    options = {name: inspect.signature(make).parameters for name, make in makers.items()}

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            made = {name: make(**{key: arguments.pop(key) for key in options[name]}) for name, make in makers.items()}
            return command(**made, **arguments)

        own = [p for name, p in inspect.signature(command).parameters.items() if name not in makers]
        return _with_parameters(call, command, [*(p for each in options.values() for p in each.values()), *own])

    return add


def _with_parameters(call: Any, command: Callable[..., Any], parameters: list[inspect.Parameter]) -> Any:
    """Give a function the name and the text of a command, and the parameters that typer makes options of."""
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    call.__signature__ = inspect.Signature(keyword)
    call.__annotations__ = {p.name: p.annotation for p in keyword}
    call.__name__, call.__doc__ = command.__name__, command.__doc__
    return call


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
        if name.strip() in values:
            raise ConfigError(f"--set {name.strip()} is given twice")
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
