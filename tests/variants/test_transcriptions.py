"""Every variant of this package has a transcription: see benchmarks/conformance/checks/numpy_reference.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sambench import variants
from sambench.benchmarks.conformance.check import Failed
from sambench.benchmarks.conformance.checks import numpy_network as network
from sambench.benchmarks.conformance.checks import numpy_reference
from sambench.variants import get_info, list_variants


@pytest.mark.parametrize("name", [info.name for info in list_variants()])
def test_variant_has_a_transcription(name):
    """That the two agree is check 7 of the conformance suite, which runs in test_conformance.py."""
    path = numpy_reference.transcription_path(get_info(name))
    assert path is not None, f"write variants/transcriptions/{name}.py from the paper's formulas"


def test_transcriptions_import_nothing_of_this_package():
    for path in sorted((Path(variants.__file__).parent / "transcriptions").glob("*.py")):
        assert "sambench" not in path.read_text(), f"{path.name} must be independent"


@pytest.mark.parametrize("weighted", [False, True])
def test_hand_written_gradient_is_the_derivative(weighted):
    samples = numpy_reference.data(weighted)[1]
    rng = np.random.default_rng(0)
    w = rng.standard_normal(network.DIMENSION)
    loss, gradient = samples.evaluate(w)
    assert loss == pytest.approx(np.mean(samples.losses(w) * samples.weights))
    h = 1e-6
    numeric = np.array(
        [(samples.evaluate(w + h * e)[0] - samples.evaluate(w - h * e)[0]) / (2 * h) for e in np.eye(network.DIMENSION)]
    )
    assert np.allclose(gradient, numeric, rtol=0, atol=1e-8)


def test_both_writings_of_the_network_agree():
    samples, w = numpy_reference.data(False)[0], np.random.default_rng(1).standard_normal(network.DIMENSION)
    model = network.Network()
    network.write(model, w)
    assert [name for name, _ in model.named_parameters()] == list(network.SHAPES)
    assert np.array_equal(network.flatten(model), w)
    logits = model(torch.from_numpy(samples.x))
    assert np.allclose(logits.detach().numpy(), samples.logits(w), atol=1e-13)
    cotangent = np.random.default_rng(2).standard_normal((numpy_reference.BATCH, network.CLASSES))
    logits.backward(torch.from_numpy(cotangent))
    gradient = np.concatenate([p.grad.numpy().ravel() for p in model.parameters()])
    assert np.allclose(gradient, samples.vjp(w, cotangent), atol=1e-12)


def test_subset_is_the_mean_over_those_samples():
    samples, w = numpy_reference.data(True)[0], np.random.default_rng(1).standard_normal(network.DIMENSION)
    some = samples.at(np.array([3, 1]))
    assert some.evaluate(w)[0] == pytest.approx((samples.losses(w) * samples.weights)[[1, 3]].mean())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("sam", lambda w, g, rho: w + rho * g),  # USAM's ascent
        ("usam", lambda w, g, rho: w + rho * g / np.linalg.norm(g)),
        ("sam", lambda w, g, rho: w + rho * (g + 1e-3 * w) / np.linalg.norm(g + 1e-3 * w)),  # decay in the ascent
        ("sam", lambda w, g, rho: w - rho * g / np.linalg.norm(g)),
    ],
)
def test_wrong_rule_is_noticed(name, wrong):
    def step(w, t, evaluate, descend, hyper, state, extra):
        _, g = evaluate(w)
        return descend(w, evaluate(wrong(w, g, hyper["rho"]))[1])

    assert numpy_reference.disagreement(get_info(name), step, {}, steps=2)[1] > 1e-6


def test_failure_names_setting_and_step(tmp_path, monkeypatch):
    path = tmp_path / "sam.py"
    path.write_text("def step(w, t, evaluate, descend, hyper, state, extra):\n    return descend(w, evaluate(w)[1])\n")
    monkeypatch.setattr(numpy_reference, "transcription_path", lambda info: path)
    with pytest.raises(Failed, match="at defaults, step 0, a weight differs"):
        numpy_reference.agrees_with_transcription(get_info("sam"))
