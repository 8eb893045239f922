"""Hostile input for every parser: what generated tests build it of, and how long they take."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = int(os.environ.get("SAMBENCH_FUZZ", "60"))
"""Examples of a target in `make test`, a second or so; the same targets take :data:`MANY` under the mark `slow`."""
MANY = 300


def examples(count):
    """Return the settings of a target; no deadline, for the machine may be busy, and the same examples every time."""
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    )


def fed(strategy):
    """Make two tests of a target, which is called with a folder and a generated value: a short one and a slow one."""

    def decorate(target):
        def test(tmp_path_factory, count):
            folder = tmp_path_factory.mktemp("fuzz")

            @examples(count)
            @given(strategy)
            def run(value):
                target(folder, value)

            run()

        test.__doc__ = target.__doc__
        return pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])(test)

    return decorate


numbers = st.sampled_from(
    [0, -1, 1, 2, True, False, 0.5, -0.0, float("nan"), float("inf"), 1e308, 5e-324, 2**31, 2**63, 2**63 + 1, 10**400]
)
texts = st.sampled_from(
    [
        "",
        "sam",
        "²",
        "$x$",
        "<script>|",
        "[/red]",
        ":smile:",
        "\x1b[31m",
        "\0",
        "a\nb",
        "../x",
        "é",
        "9" * 400,
        "x" * 999,
    ]
) | st.text(max_size=8)
scalars = st.none() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)


@st.composite
def changed(draw, content):
    """Return a table with one to three of its values replaced, removed or added, at any depth."""
    copy = _copy(content)
    for _ in range(draw(st.integers(1, 3))):
        part = copy
        while True:
            keys = sorted(part) if isinstance(part, dict) else list(range(len(part)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(part[key], dict | list) and draw(st.booleans()):
                part = part[key]
                continue
            how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
            if how == "replace":
                part[key] = draw(values)
            elif how == "remove":
                del part[key]
            elif isinstance(part, dict):
                part[draw(texts)] = draw(values)
            else:
                part.append(draw(values))
            break
    return copy


@st.composite
def damaged(draw, data):
    """Return bytes of which some are changed, left out or doubled."""
    made = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(made) - 1)))
        how = draw(st.sampled_from(["flip", "cut", "drop", "double", "insert"]))
        size = draw(st.integers(1, 40))
        if how == "flip" and made:
            made[start] ^= draw(st.integers(1, 255))
        elif how == "cut":
            del made[start:]
        elif how == "drop":
            del made[start : start + size]
        elif how == "double":
            made[start:start] = made[start : start + size]
        else:
            made[start:start] = draw(st.binary(max_size=8))
    return bytes(made)


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list | tuple) else value
