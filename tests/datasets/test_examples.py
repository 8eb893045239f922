"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import sambench.datasets

MODULES = [f"sambench.datasets.{module.name}" for module in pkgutil.iter_modules(sambench.datasets.__path__)]
WITH_EXAMPLES = {"augment", "dataset", "labels", "parts", "registry", "splits"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    if name.rpartition(".")[2] in WITH_EXAMPLES:
        assert result.attempted > 0
