"""docs/measures.md: it says what measures and records say, its example works; corruptions do what their names say."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import sambench
from sambench.benchmarks.measuring import page
from sambench.benchmarks.measuring.corruption import CORRUPTIONS, SEVERITIES, corrupt
from sambench.benchmarks.measuring.registry import ask, read_requests
from sambench.datasets import load
from sambench.errors import ConfigError
from sambench.registry import load_plugin
from sambench.results.records.manifest import read_manifest
from sambench.results.records.measurement import Measurement, Measurements
from sambench.results.records.store import Store
from sambench.results.statistics.intervals import t_interval
from sambench.seeding import generator

ROOT = Path(sambench.__file__).parent
TEXT = (ROOT / "docs" / "measures.md").read_text()


def test_the_page_is_up_to_date():
    assert not page.stale(), "run: python -m sambench.benchmarks.measuring.page"


def test_the_numbers_of_the_page_are_those_of_the_records():
    store, found = Store(ROOT / "results"), dict[float, dict[int, dict[str, float]]]()
    for run in read_manifest(store.root / "suites" / "digits-sharpness.json").untracked:
        spec = store.read(run).spec
        found.setdefault(spec["hyper"].get("rho", 0.0), {})[spec["seed"]] = {
            f"{one.label}.{name}": value
            for one in Measurements(store).of(run)
            if isinstance(one, Measurement)
            for name, value in one.values.items()
            if value is not None
        }
    tables = TEXT.partition(page.MARK)[0].split("Less that of SGD")
    measured, compared = (re.findall(r"^\| `(\S+)` \| (.* ± .*) \|$", one, re.MULTILINE) for one in tables)
    assert len(measured) > 8
    assert len(compared) > 3
    values = {
        name: np.array([[found[rho][seed][name] for seed in range(10)] for rho in sorted(found)])
        for name, _ in measured
    }
    for name, text in measured:
        assert text == " | ".join(map(_mean, values[name]))
    for name, text in compared:
        assert text == " | ".join(map(_mean, values[name][1:] - values[name][0]))
    assert (values["lambda_max.lambda_max"][1:] < values["lambda_max.lambda_max"][0]).all()


def test_the_rank_correlations_of_the_page_are_those_of_the_boards():
    rows = re.findall(r"^\| `([^`|]+)`(?:, `([^`|]+)`)? \| ([+−].*?\]) \| ([+−].*?\]) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 8
    for first, other, digits, clothes in rows:
        for board, measure, tau in (("digits", first, digits), ("fashion_mnist", other or first, clothes)):
            page_of = (ROOT / "results" / "boards" / f"{board}.md").read_text()
            table = page_of[page_of.index("| Measure ") :]  # track G stands first
            assert re.search(rf"^\| `{re.escape(measure)}` +\| +{re.escape(tau)} \|", table, re.MULTILINE)


def _mean(sample):
    """Write the mean over seeds and half the length of its 95 % interval."""
    mean, low, _ = t_interval(sample)
    return f"{mean:.3g} ± {mean - low:.2g}".replace("-", "−")


def test_what_the_page_asks_for_is_there():
    for words in re.findall(r"--what (\S+)", TEXT):
        if not words.startswith(("NAME", "...")):
            read_requests([words])
    for words in ("worst_case:norm=linf:rho=0.01", "sharpness:samples=0"):
        assert words in TEXT
        read_requests([words])


def test_a_measure_of_a_file_is_found(tmp_path):
    source = next(
        code for code in re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL) if "def " in code
    )
    (tmp_path / "mine.py").write_text(source)
    assert load_plugin(tmp_path / "mine.py") == ["sparsity"]

    class Run:
        network = torch.nn.Linear(10, 10)

    request = ask("sparsity", {"below": 1.0})
    assert request.measure.function(Run, **request.settings) == {"share": 1.0}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_grows_with_its_severity_and_depends_on_its_stream_alone(kind):
    images = load("digits").test_images[:50].float() / 255
    images = torch.cat([images, images.flip(3), images.flip(2)], 1)  # three channels
    images = torch.nn.functional.interpolate(images, (32, 32), mode="bilinear")
    found = [corrupt(images, kind, severity, generator("c", 0)) for severity in range(1, SEVERITIES + 1)]
    sizes = [float((one - images).square().mean()) for one in found]
    assert all(0 < a <= b for a, b in pairwise(sizes))
    assert all(0 <= one.min() <= one.max() <= 1 and one.shape == images.shape for one in found)
    torch.testing.assert_close(corrupt(images, kind, 3, generator("c", 0)), found[2], rtol=0, atol=0)
    gray = corrupt(images[:, :1], kind, 1, generator("c", 0))
    assert gray.shape == (50, 1, 32, 32)


def test_an_unknown_corruption_is_refused():
    with pytest.raises(ConfigError, match="unknown corruption 'fogg'"):
        corrupt(torch.zeros(1, 1, 2, 2), "fogg", 1, generator("c", 0))
