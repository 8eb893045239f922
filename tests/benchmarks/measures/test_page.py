"""docs/measures.md: it says what the measures say, and its example works; corruptions do what their names say."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import sambench
from sambench.benchmarks.measuring import page
from sambench.benchmarks.measuring.corruption import CORRUPTIONS, SEVERITIES, corrupt
from sambench.benchmarks.measuring.registry import ask, read_requests
from sambench.datasets import load
from sambench.errors import ConfigError
from sambench.registry import load_plugin
from sambench.seeding import generator

TEXT = (Path(sambench.__file__).parent / "docs" / "measures.md").read_text()


def test_the_page_is_up_to_date():
    assert not page.stale(), "run: python -m sambench.benchmarks.measuring.page"


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
