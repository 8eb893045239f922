"""Suites as TOML that is read again as the same content."""

import json
import re
from collections.abc import Mapping
from typing import Any

_TABLES = ("sources", "spec", "at_scale", "tuning", "tuned", "time", "keep", "predictions")
"""Keys of a suite that are written as tables, after all others."""


def suite_text(content: Mapping[str, Any], note: str) -> str:
    """Write a suite so that it is read again as the same content.

    Args:
        content: what the file holds, as TOML is read.
        note: one line on where it comes from; it becomes a comment.

    Example:
        >>> print(suite_text({"seeds": [0], "spec": {"epochs": 2}, "runs": [{"variant": "sgd"}]}, "An example."))
        # An example.
        seeds = [0]
        <BLANKLINE>
        [spec]
        epochs = 2
        <BLANKLINE>
        [[runs]]
        variant = "sgd"
        <BLANKLINE>
    """
    head = {key: value for key, value in content.items() if key not in (*_TABLES, "runs")}
    parts = [f"# {' '.join(note.split())}\n{table(head)}"]
    parts += [f"[{key}]\n{table(content[key])}" for key in _TABLES if key in content]
    return "\n".join([*parts, *(f"[[runs]]\n{table(entry)}" for entry in content.get("runs", ()))])


def table(values: Mapping[str, Any]) -> str:
    """Write keys and values, one a line."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in values.items())


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_text(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)  # numbers and truth values are written alike
    if "\n" in value and value.replace("\n", "").isprintable() and not re.search(r'\\|"""|"$', value):
        return f'"""\n{value}"""'
    return _text(value)


def _text(text: str) -> str:
    """Write a text in JSON's escapes, which TOML shares but for pairs of surrogates and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
