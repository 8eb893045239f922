"""Codes and published numbers of all variants, from the cache and without it."""

from pathlib import Path

import pytest

from sambench.benchmarks.suites import from_cache, variants_today
from sambench.benchmarks.training.behaviour import codes_today
from sambench.variants import published_results


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(from_cache, "ADDED", [])  # other tests of this process load plug-ins
    return tmp_path


def made_anew(monkeypatch):
    """Read once more; return what is said, and whether it was made anew."""
    made, make = [], variants_today._made
    with monkeypatch.context() as patch:
        patch.setattr(variants_today, "_made", lambda: made.append(1) or make())
        return variants_today.variants_today(), bool(made)


def test_they_are_what_the_variants_say_and_come_from_the_cache_from_then_on(cache, monkeypatch):
    expected = codes_today(), published_results()
    assert made_anew(monkeypatch) == (expected, True)
    assert made_anew(monkeypatch) == (expected, False)


@pytest.mark.parametrize("content", ["", "{", "[]", "[{}]", "[[], []]", '[{"sam": 1}, []]', "[" * 10_000])
def test_a_damaged_cache_is_not_used(cache, monkeypatch, content):
    expected, _ = made_anew(monkeypatch)
    [path] = cache.glob("variants-*.json")
    path.write_text(content)
    assert made_anew(monkeypatch) == (expected, True)


def test_other_code_makes_them_anew(cache, monkeypatch):
    made_anew(monkeypatch)
    monkeypatch.setattr(from_cache, "_code", lambda: ["another state"])
    assert made_anew(monkeypatch)[1]


def test_plugins_that_are_loaded_are_in_them(cache, monkeypatch):
    made_anew(monkeypatch)
    monkeypatch.setattr(from_cache, "ADDED", [(None, "mine")])
    assert made_anew(monkeypatch)[1]


@pytest.mark.parametrize("folder", from_cache.DECIDES)
def test_the_folders_that_decide_are_there(folder):
    assert list((Path(from_cache.PACKAGE) / folder).glob("*.py"))
