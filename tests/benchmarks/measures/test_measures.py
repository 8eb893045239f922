"""Every measure: closed forms, invariances, other people's code, and a network that is the same afterwards."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from synthetic import build_record
from torch import nn

from sambench.benchmarks.measures.calibration import adaptive_error, calibration_error, fit_temperature
from sambench.benchmarks.measures.cifair import duplicates
from sambench.benchmarks.measures.feature_rank import rank_of
from sambench.benchmarks.measures.path_norm import path_norm
from sambench.benchmarks.measures.surface import filter_normalized
from sambench.benchmarks.measures.weight_norms import conv_spectral_norm
from sambench.benchmarks.measuring.activations import blocks_of, relu_outputs
from sambench.benchmarks.measuring.attack import pgd
from sambench.benchmarks.measuring.ball import unit
from sambench.benchmarks.measuring.measurements import (
    MeasuringOptions,
    measure_run,
    measure_runs,
    open_subject,
    plan_measurements,
)
from sambench.benchmarks.measuring.objective import Objective
from sambench.benchmarks.measuring.registry import MEASURES, NotApplicable, ask, measure, read_requests
from sambench.benchmarks.measuring.slices import surface
from sambench.benchmarks.measuring.subject import Subject
from sambench.benchmarks.training.batch import sample_scores
from sambench.benchmarks.training.keeping import Keep
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import state_digest
from sambench.datasets import normalize
from sambench.datasets.samplers import mixture
from sambench.errors import ConfigError, Interrupted, StateError
from sambench.results.records.measurement import Measurements
from sambench.results.records.store import Store
from sambench.seeding import generator
from sambench.variants import get_info, list_variants
from sambench.variants.adversarial import random_start

MEASURES.discover()
FEW = {"points": 3, "samples": 16, "draws": 6, "steps": 2, "iterations": 3, "tolerance": 0.5}
FIELDS = {"mlp": {"model": "mlp", "noise": 0.2}, "batchnorm": {"model": "wrn10_1", "split": "full"}}


def few(name):
    """Ask for a measure that costs little."""
    own = MEASURES.get(name).settings
    given = {key: value for key, value in FEW.items() if key in own}
    return ask(name, given | ({"iterations": 50} if name == "lambda_max" else {}))


@pytest.fixture(scope="module")
def finished(tiny_spec, tmp_path_factory):
    """A results folder with two runs whose models are kept."""
    root = tmp_path_factory.mktemp("finished")
    ids = {}
    for name, fields in FIELDS.items():
        spec = tiny_spec(variant="sam", **fields)
        run_spec(spec, Store(root), keep=Keep())
        ids[name] = spec.run_id
    return root, ids


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("name", MEASURES.names())
def test_a_measure_returns_what_it_declares_twice_the_same_and_leaves_the_network(name, kind, finished):
    root, ids = finished
    if MEASURES.get(name).of_record:
        pytest.skip("it has no network: see below")
    if name == "twin":
        pytest.skip("it looks at two runs: see below")
    subject = open_subject(ids[kind], MeasuringOptions(root))
    before = state_digest(subject.network.state_dict())
    request = few(name)
    with subject.unchanged(name):
        found = request.measure.function(subject, **request.settings)
    assert found.keys() == request.measure.values.keys()
    again = request.measure.function(subject, **request.settings)
    assert repr(found) == repr(again)
    assert state_digest(subject.network.state_dict()) == before == subject.record.weights
    missing = {key for key, value in found.items() if isinstance(value, float) and not math.isfinite(value)}
    assert missing <= {"standard_error", "noisy_accuracy", "corrected_accuracy", "sigma"}
    assert all(p.grad is None and p.requires_grad for p in subject.network.parameters())


def test_twins_are_measured_after_the_same_epochs(tiny_spec, tmp_path):
    fields = {"variant": "sam", "model": "mlp", "subset": 96, "augment": "crop:1"}
    one, twin = (tiny_spec(**fields, **more) for more in ({}, {"replace_example": 3}))
    keep, options = Keep.parse("weights@0"), MeasuringOptions(tmp_path)
    run_spec(twin, Store(tmp_path), keep=keep)
    assert f"there is no record of run {one.run_id}" in str(measure_run(twin.run_id, [ask("twin")], options).failed)
    run_spec(one, Store(tmp_path), keep=keep)
    w, v = (
        torch.cat([p.detach().flatten() for p in open_subject(i.run_id, options).network.parameters()])
        for i in (twin, one)
    )
    (made,) = measure_run(twin.run_id, [ask("twin")], options).made
    assert made.values["distance"] == pytest.approx(float((w - v).norm()), rel=1e-5)
    assert made.values["normalized"] == pytest.approx(float((w - v).norm() / torch.cat([w, v]).norm()), rel=1e-5)
    (first,) = measure_run(twin.run_id, [ask("twin")], MeasuringOptions(tmp_path, epoch=0)).made
    assert set(first.values.values()) == {0.0}
    assert "no example was replaced" in str(measure_run(one.run_id, [ask("twin")], options).not_applicable)


@pytest.mark.parametrize("name", MEASURES.names())
def test_a_measure_says_what_it_is(name):
    one = MEASURES.get(name)
    assert all([one.summary, one.paper, one.values, *one.values.values()])
    assert (one.function.__doc__ or "").strip()
    assert all(setting.doc for setting in one.settings.values())


def test_what_is_asked_for_is_checked():
    assert [one.label for one in read_requests(["pgd:epsilon=2,fgsm", "pgd:epsilon=2.0"])] == [
        "pgd[epsilon=2.0]",
        "fgsm",
    ]
    group = read_requests(["sharpness:rho=0.2"])
    assert {one.settings.get("rho", 0.2) for one in group} == {0.2}
    assert len(group) > 3
    with pytest.raises(ConfigError) as refusal:
        read_requests(["pdg", "sharpness:roh=1", "pgd:epsilon=-1", "pgd:steps=3", "pgd:epsilon=2:epsilon=8"])
    twice = "'pgd:epsilon=2:epsilon=8' gives one setting twice"
    for text in (
        twice,
        "did you mean 'pgd'",
        "did you mean 'rho'",
        "epsilon='-1' is not valid",
        "'steps' of measure 'pgd'",
    ):
        assert text in str(refusal.value)


# -- of a record ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "images"), [("cifar10", 9694), ("cifar100", 9079)])
def test_duplicates_are_left_out_of_a_record_without_model_or_data(dataset, images, tmp_path):
    record = build_record(dataset=dataset, split="full", count=10_000, accuracy=0.9)
    assert Store(tmp_path).write(record)
    (result,) = measure_runs([record.run_id], ["cifair,fit"], MeasuringOptions(tmp_path))
    (found,) = result.made
    gone = duplicates(dataset)
    assert len(set(gone.tolist())) == len(gone) == 10_000 - images == 10_000 - found.values["images"]
    assert found.values["accuracy"] == pytest.approx((9000 - (gone < 9000).sum()) / images)
    assert found.values["duplicates_accuracy"] == pytest.approx((gone < 9000).mean())


def test_other_data_have_no_list_of_duplicates(finished):
    root, ids = finished
    (told,) = measure_run(ids["mlp"], [ask("cifair")], MeasuringOptions(root)).not_applicable
    assert "not of digits" in told


# -- slices -----------------------------------------------------------------------------------------------------------


def test_the_losses_of_a_slice_are_those_at_its_points(finished):
    root, ids = finished
    subject = open_subject(ids["batchnorm"], MeasuringOptions(root))
    sample = {"samples": 40, "sample_seed": 0, "precision": "float64"}
    loss = subject.objective(**sample)
    request = ask("surface", {"dimensions": 2, "points": 3, "radius": 0.5, **sample})
    found = request.measure.function(subject, **request.settings)
    assert [found["x"][i] for i in (0, 1, 3, 4)] == [-0.5, 0, -0.5, 0]
    assert [found["y"][i] for i in (0, 1, 3, 4)] == [-0.5, -0.5, 0, 0]
    assert found["train"][4] == float(loss.loss(loss.theta))
    direction = filter_normalized(loss, generator("measure directions", 0))
    assert found["train"][5] == pytest.approx(float(loss.loss(loss.theta + 0.5 * direction)), rel=1e-12)
    assert found["highest"] == max(found["train"])
    for name, weight in loss.named(loss.theta).items():
        own = loss.named(direction)[name]
        if weight.ndim < 2:
            assert not own.any()
        else:
            torch.testing.assert_close(own.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))


def test_along_the_eigenvector_of_a_quadratic_the_loss_bends_by_its_eigenvalue():
    quadratic = Quadratic()
    quadratic.linear = -quadratic.matrix @ quadratic.theta  # the weights are its minimum
    found = _ask("surface", quadratic, directions="eigenvectors", points=3, radius=0.1)
    rise = found["train"][2] - found["train"][1]
    assert math.isclose(rise, 0.1**2 / 2 * float(torch.linalg.eigvalsh(quadratic.matrix)[-1]), rel_tol=1e-5)
    assert math.isclose(found["train"][0], found["train"][2], rel_tol=1e-9)


def test_statistics_on_a_line_are_made_anew(finished):
    root, ids = finished
    subject = open_subject(ids["batchnorm"], MeasuringOptions(root))
    request = ask("line", {"points": 3, "samples": 0, "precision": "float64"})
    found = request.measure.function(subject, **request.settings)
    network = subject.initial.double()
    with torch.no_grad():
        for p, trained in zip(network.parameters(), subject.network.parameters(), strict=True):
            p.lerp_(trained.double(), 0.5)
        images, labels = subject.sample("train", 0, 0)
        images = normalize(images, subject.dataset.mean, subject.dataset.std).double()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_running_stats()
                layer.momentum = None
                layer.train()
        network(images)
        expected = F.cross_entropy(network.eval()(images), labels)
    assert math.isclose(found["train"][1], float(expected), rel_tol=1e-9)
    first, middle, last = found["train"]
    assert math.isclose(found["barrier"], max(0, middle - (first + last) / 2), rel_tol=1e-9)


def test_a_short_last_batch_weighs_no_more_in_the_statistics_of_a_line(finished, monkeypatch):
    root, ids = finished
    subject = open_subject(ids["batchnorm"], MeasuringOptions(root))
    request = ask("line", {"points": 2, "samples": 0, "precision": "float64"})
    count = len(subject.sample("train", 0, 0)[1])
    whole, one_more, half = (
        monkeypatch.setattr("sambench.benchmarks.measures.line.BATCH", size)
        or request.measure.function(subject, **request.settings)["train"][0]
        for size in (count, count - 1, count // 2)
    )
    assert one_more == half
    assert math.isclose(half, whole, rel_tol=0.05)


def test_a_line_joins_two_runs_and_only_those_that_fit(finished):
    root, ids = finished
    options = MeasuringOptions(root)
    found = surface(ids["mlp"], ids["mlp"][:8], options=options, points=2, samples=16)
    assert found.series["train"][0] == found.series["train"][1]
    assert found == surface(ids["mlp"], ids["mlp"], options=options, points=2, samples=16)
    with pytest.raises(StateError, match="model='wrn10_1' and this run 'mlp'"):
        surface(ids["mlp"], ids["batchnorm"], options=options)
    with pytest.raises(ConfigError, match="dimensions=3 is not valid"):
        surface(ids["mlp"], options=options, dimensions=3)


# -- a measure that fails ---------------------------------------------------------------------------------------------


def _declare(name, function):
    measure(name, "of a test", group="test", settings={}, values={"value": "1"})(function)
    return ask(name)


def _raising(subject):
    with torch.no_grad():
        next(subject.network.parameters()).mul_(2)
    raise RuntimeError("half way")


def _changing(subject):
    with torch.no_grad():
        next(subject.network.parameters()).mul_(2)
    return {"value": 1.0}


def _training(subject):
    subject.network.train()
    return {"value": 1.0}


def _undeclared(subject):
    return {"other": 1.0}


def _in_training(subject):
    next(subject.network.children()).train()
    return {"value": 1.0}


def _tensor(subject):
    return {"value": torch.tensor(1.5)}


def _float32(subject):
    return {"value": np.float32(1.5)}


def _text(subject):
    return {"value": "much"}


def _elsewhere(subject):
    raise NotApplicable("of any network")


@pytest.mark.parametrize("function", [_tensor, _float32])
def test_a_number_is_one_in_whatever_type_it_comes(function, finished):
    root, ids = finished
    result = measure_run(ids["mlp"], [_declare(f"test{function.__name__}", function)], MeasuringOptions(root))
    assert [one.values for one in result.made] == [{"value": 1.5}]
    assert not result.made[0].series


def test_a_value_that_is_no_number_stops_no_other(finished):
    root, ids = finished
    result = measure_run(ids["mlp"], [_declare("test_text", _text), ask("trace")], MeasuringOptions(root))
    assert [one.measure for one in result.made] == ["trace"]
    assert "could not convert string to float: 'much'" in result.failed[0]


def test_layers_that_were_left_in_training_are_put_back(finished):
    root, ids = finished
    subject = open_subject(ids["batchnorm"], MeasuringOptions(root))
    with subject.unchanged("x"):
        _in_training(subject)
    assert not any(module.training for module in subject.network.modules())


def test_what_a_measure_does_wrong_stops_no_other_and_is_told(finished):
    root, ids = finished
    functions = [_raising, _changing, _training, _undeclared, _elsewhere]
    requests = [_declare(f"test{f.__name__}", f) for f in functions]
    result = measure_run(ids["mlp"], [*requests, ask("distance")], MeasuringOptions(root))
    assert [one.measure for one in result.made] == ["test_training", "distance"]
    assert len(result.failed) == 3
    told = ("RuntimeError: half way", "changed the network", "it returns ['other']")
    for text, line in zip(told, result.failed, strict=True):
        assert text in line
    assert result.not_applicable == ["test_elsewhere: of any network"]
    good = measure_run(ids["mlp"], [ask("distance", {})], MeasuringOptions(root)).made[0]
    assert good.values == result.made[1].values


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_a_network_is_put_back_to_the_bit_when_a_measure_is_interrupted(stop, finished):
    root, ids = finished
    subject = open_subject(ids["batchnorm"], MeasuringOptions(root))

    def stopped():
        with subject.unchanged("x"):
            subject.network.train()
            subject.network(torch.randn(4, *subject.dataset.shape))
            raise stop

    with pytest.raises(stop):
        stopped()
    assert state_digest(subject.network.state_dict()) == subject.record.weights
    assert not subject.network.training


# -- closed forms -----------------------------------------------------------------------------------------------------


class Quadratic:
    """x^T H x / 2 + g^T x: stands for a run, and for the loss of its sample."""

    def __init__(self):
        random = generator("quadratic", 0)
        factor = torch.randn(30, 30, dtype=torch.float64, generator=random)
        self.matrix = factor @ factor.T / 30
        self.theta = torch.randn(30, dtype=torch.float64, generator=random)
        self.linear = torch.randn(30, dtype=torch.float64, generator=random)
        self.labels = torch.zeros(1)

    def objective(self, **sample):
        return self

    def parts(self, m, *, rest=False):
        yield self

    def loss(self, theta):
        return theta @ self.matrix @ theta / 2 + self.linear @ theta

    def gradient(self, theta):
        return self.loss(theta), self.matrix @ theta + self.linear

    def hessian(self, vector):
        return self.matrix @ vector


def _ask(name, subject, **settings):
    request = ask(name, settings)
    return request.measure.function(subject, **request.settings)


def test_first_order_measures_of_a_quadratic_are_their_closed_forms():
    quadratic, rho = Quadratic(), 0.3
    g = quadratic.gradient(quadratic.theta)[1]
    exact = rho * g.norm() + rho**2 / 2 * (g @ quadratic.matrix @ g) / (g @ g)
    assert math.isclose(_ask("sam_gap", quadratic, rho=rho)["gap"], float(exact), rel_tol=1e-10)
    found = _ask("gradient_norm", quadratic)
    assert found["norm"] == found["m_norm"] == pytest.approx(float(g.norm()))


@pytest.mark.parametrize("power", [0, -12, -19, -25, -38, -44])
def test_a_direction_has_length_one_however_small_the_gradient(power):
    """Squares of float32 underflow from 1e-19 on, those of a network that fits its data."""
    vector = torch.tensor([3.0, -4.0, 0.0, 12.0], dtype=torch.float64)
    found = unit((vector * 10.0**power).float())
    torch.testing.assert_close(found, (vector / 13).float(), rtol=0.2 if power < -40 else 1e-6, atol=0)
    assert torch.equal(unit(torch.zeros(4)), torch.zeros(4))


@pytest.mark.parametrize("margin", [1, 10, 20, 50, 65, 80, 500])
def test_a_step_of_sam_has_its_radius_on_a_network_that_fits(margin):
    network, images, _ = _mlp()
    network, images = network.double().eval(), images.double()
    with torch.no_grad():
        first, second = network(images).topk(2).values.unbind(1)
        labels = network(images).argmax(1)
        last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
        for p in last.parameters():
            p.mul_(margin / (first - second).min())

    class Fits:
        def objective(self, precision, **sample):
            return Objective(network, images, labels, dtype=getattr(torch, precision))

    single, double = (_ask("sam_gap", Fits(), precision=one)["gap"] for one in ("float32", "float64"))
    if margin <= 10:
        assert single == pytest.approx(double, rel=1e-3, abs=1e-3)
    else:  # some derivatives, or all, are 0 in single precision: the step leads elsewhere, and no further
        assert 0 <= single <= double * 1.001


@pytest.mark.parametrize("m", [0, 1, 7, 40, 60, 89, 90, 128])
def test_the_norm_of_the_gradient_is_that_of_all_samples(m, finished):
    root, ids = finished
    subject = open_subject(ids["mlp"], MeasuringOptions(root))
    settings = {"samples": 90, "precision": "float64"}
    whole = subject.objective(**{key: v for key, v in ask("gradient_norm", settings).settings.items() if key != "m"})
    loss, gradient = whole.gradient(whole.theta)
    found = _ask("gradient_norm", subject, m=m, **settings)
    assert (found["loss"], found["norm"]) == pytest.approx((float(loss), float(gradient.norm())), rel=1e-9)


@pytest.mark.parametrize("scale", ["plain", "adaptive"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_average_case_of_a_quadratic_is_its_closed_form(norm, scale):
    quadratic, rho = Quadratic(), 0.5
    c = quadratic.theta.abs() if scale == "adaptive" else torch.ones_like(quadratic.theta)
    variance = rho**2 * (1 if norm == "l2" else 1 / 3)
    exact = variance / 2 * float((c * c * quadratic.matrix.diagonal()).sum())
    found = _ask("average_case", quadratic, norm=norm, scale=scale, rho=rho, draws=4000)
    assert abs(found["sharpness"] - exact) < 4 * found["standard_error"] < 0.2 * exact


def test_curvature_of_a_quadratic():
    quadratic = Quadratic()
    exact = torch.linalg.eigvalsh(quadratic.matrix).flip(0)
    found = _ask("lambda_max", quadratic, top=5, tolerance=0.0)
    np.testing.assert_allclose(found["eigenvalues"], exact[:5].numpy(), rtol=1e-10)
    trace = _ask("trace", quadratic, draws=600)
    assert math.isclose(trace["trace"], float(exact.sum()), rel_tol=1e-9)
    spectrum = _ask("spectrum", quadratic, steps=30)
    assert math.isclose(spectrum["largest"], float(exact[0]), rel_tol=1e-6)
    assert math.isclose(np.trapezoid(spectrum["density"], spectrum["grid"]), 1, rel_tol=1e-3)
    norm = _ask("frobenius", quadratic, draws=4000)
    assert abs(norm["frobenius"] - float(exact.norm())) < 4 * norm["standard_error"] < 0.1 * float(exact.norm())


@pytest.mark.parametrize("damping", [0.03, 1.0])
def test_a_damped_determinant_is_that_of_the_dense_matrix(damping):
    subject = Given(*_mlp())
    objective = subject.objective()
    dense = torch.stack([objective.gauss_newton(row) for row in torch.eye(len(objective.theta), dtype=torch.float64)])
    exact = float(torch.logdet(torch.eye(len(dense)) + dense / damping))
    found = _ask("log_determinant", subject, damping=damping, draws=300)
    assert abs(found["log_determinant"] - exact) < 4 * found["standard_error"] < 0.2 * exact


@pytest.fixture(scope="module")
def of_samples():
    """A network with the gradients of its samples, (n, P), and the scores by which they are drawn."""
    subject = Given(*_mlp())
    objective = subject.objective()
    gradients = torch.stack([part.gradient(part.theta)[1] for part in objective.parts(1)])
    logits = objective.logits(objective.theta, objective.images).detach()
    return subject, gradients, sample_scores("grad_norm", logits, objective.labels)


def test_the_variance_of_uniform_draws_is_that_of_the_samples(of_samples):
    subject, gradients, _ = of_samples
    whole = gradients.mean(0)
    found = _ask("gradient_variance", subject, batch=1, epochs=1)
    assert found["variance"] == pytest.approx(float((gradients - whole).square().sum(1).mean()))
    assert found["norm"] == pytest.approx(float(whole.norm()))
    assert found["bias"] < 1e-12  # an epoch has every sample once
    assert _ask("gradient_variance", subject, batch=1000)["variance"] < 1e-20


@pytest.mark.parametrize("sampler", ["importance", "presample"])
def test_the_variance_of_weighted_draws_is_that_of_their_distribution(sampler, of_samples):
    subject, gradients, scores = of_samples
    whole = gradients.mean(0)
    found = _ask("gradient_variance", subject, sampler=sampler, batch=1, epochs=300)
    spread = math.sqrt(found["variance"] / (300 * len(gradients)))
    assert found["bias"] < 4 * spread < 0.3 * found["norm"]
    if sampler == "importance":
        p = mixture(scores, 0.3)
        exact = float((p * (gradients / (len(p) * p)[:, None] - whole).square().sum(1)).sum())
        assert found["variance"] == pytest.approx(exact, rel=0.05)


def test_the_direction_of_sam_is_that_of_the_batch_and_an_average_is_nearer_to_the_whole(of_samples):
    subject, gradients, _ = of_samples
    whole = gradients.mean(0)
    cosine = F.cosine_similarity(gradients, whole[None]).mean()
    found = _ask("ascent", subject, batch=1, warmup=0, steps=len(gradients))  # every sample once
    assert found["cosine"] == pytest.approx(float(cosine))
    assert found["distance"] == pytest.approx(2 - 2 * float(cosine))
    assert found["length"] == pytest.approx(0.05)
    assert _ask("ascent", subject, batch=1000)["cosine"] == pytest.approx(1)
    settings = {"batch": 5, "steps": 400}
    sam, vasso, fsam = (_ask("ascent", subject, rule=rule, **settings)["distance"] for rule in ("sam", "vasso", "fsam"))
    assert vasso < sam < fsam
    before = state_digest(subject.network.state_dict())
    assert _ask("ascent", subject, rule="asam")["length"] > 0
    assert state_digest(subject.network.state_dict()) == before


def test_a_rule_that_does_not_perturb_is_told(of_samples):
    subject, _, _ = of_samples
    with pytest.raises(NotApplicable, match="'sgd' looks at no perturbed weights"):
        _ask("ascent", subject, rule="sgd")
    with pytest.raises(ConfigError, match="did you mean 'vasso'"):
        _ask("ascent", subject, rule="vaso")
    with pytest.raises(NotApplicable, match="this model has none"):
        _ask("ascent", subject, rule="sam_on")


ALONG_THE_GRADIENT = (
    "cr_sam", "gam", "gnp", "gsam", "is_sam", "is_usam", "sam_sps", "unified_sam", "usam", "usam_sps", "wsam"
)  # fmt: skip


@pytest.mark.parametrize("rule", [info.name for info in list_variants()])
def test_the_direction_of_a_rule_is_taken_at_weights_that_stay(rule, of_samples):
    """Rules that perturb along the gradient of the batch go by SAM's direction, at whatever rate they step."""
    subject, _, _ = of_samples
    settings, reason = {"batch": 5, "steps": 40}, ""
    try:
        found = _ask("ascent", subject, rule=rule, **settings)
    except NotApplicable as error:
        found, reason = {}, str(error)
    if not found:
        assert "plain closure" in reason or "looks at no perturbed weights" in reason or rule == "sam_on"
        return
    if rule in ALONG_THE_GRADIENT:
        assert found["distance"] == pytest.approx(_ask("ascent", subject, **settings)["distance"], rel=1e-6)
    if "rho" in get_info(rule).hyper and rule in ("sam", "gsam", "sam_sps", "gnp"):
        assert found["length"] == pytest.approx(get_info(rule).hyper["rho"].default, rel=1e-6)


def test_a_batch_without_a_gradient_has_no_direction_and_does_not_count():
    network, images, labels = _mlp()
    with torch.no_grad():
        labels = network(images).argmax(1)
        network[2].weight.mul_(1e9)  # every sample is fitted to the last bit
        labels[7] = (labels[7] + 1) % 4
    subject = Given(network, images, labels)
    found = _ask("ascent", subject, batch=1, steps=50, warmup=0)
    assert found["cosine"] == pytest.approx(1)
    assert found["length"] == pytest.approx(0.05)
    labels[7] = network(images.double()).argmax(1)[7]
    with pytest.raises(NotApplicable, match="of any batch"):
        _ask("ascent", subject, batch=1, steps=50, warmup=0)


# -- invariances ------------------------------------------------------------------------------------------------------


class Given:
    """A network and a sample that stand for a run."""

    def __init__(self, network, images, labels):
        self.network, self.images, self.labels = network.double().eval(), images.double(), labels

    def objective(self, logits="plain", **sample):
        return Objective(self.network, self.images, self.labels, dtype=torch.float64, normalized=logits == "normalized")


def _mlp():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(6, 10, bias=False), nn.ReLU(), nn.Linear(10, 4, bias=False))
        return network, torch.randn(50, 6), torch.randint(0, 4, (50,))


SHARPNESS = {
    "worst_case-l2": ("worst_case", {"norm": "l2"}, "sharpness"),
    "worst_case-linf": ("worst_case", {"norm": "linf", "rho": 0.05}, "sharpness"),
    "average_case-l2": ("average_case", {"norm": "l2", "draws": 5}, "sharpness"),
    "average_case-linf": ("average_case", {"norm": "linf", "draws": 5}, "sharpness"),
    "pac_bayes": ("pac_bayes", {"draws": 5, "tolerance": 1e-4}, "sigma"),
}


@pytest.mark.parametrize("logits", ["plain", "normalized"])
@pytest.mark.parametrize("case", SHARPNESS)
def test_adaptive_measures_do_not_see_a_rescaling_of_layers_and_plain_ones_do(case, logits):
    name, settings, value = SHARPNESS[case]
    if "logits" in ask(name).settings:
        settings = {**settings, "logits": logits}
    elif logits == "normalized":
        return
    network, images, _ = _mlp()
    labels = network(images).argmax(1)

    def found(scale):
        return _ask(name, Given(network, images, labels), **settings, scale=scale)[value]

    before = {scale: found(scale) for scale in ("adaptive", "plain")}
    with torch.no_grad():
        network[0].weight *= 4
        network[2].weight /= 4
    assert math.isclose(found("adaptive"), before["adaptive"], rel_tol=1e-6)
    assert not math.isclose(found("plain"), before["plain"], rel_tol=1e-2)


def test_normalized_logits_do_not_see_the_scale_of_the_last_layer():
    network, images, labels = _mlp()
    before = [_ask("sam_gap", Given(network, images, labels), logits=kind)["loss"] for kind in ("normalized", "plain")]
    with torch.no_grad():
        network[2].weight *= 3
    after = [_ask("sam_gap", Given(network, images, labels), logits=kind)["loss"] for kind in ("normalized", "plain")]
    assert math.isclose(before[0], after[0], rel_tol=1e-9)
    assert not math.isclose(before[1], after[1], rel_tol=1e-2)


def test_weights_of_zero_stay_where_they_are_in_an_adaptive_ball():
    network, images, labels = _mlp()
    with torch.no_grad():
        network[0].weight.zero_()
        network[2].weight.zero_()
    assert _ask("worst_case", Given(network, images, labels), rho=2.0)["sharpness"] == 0


def test_m_sharpness_is_the_mean_over_disjoint_parts():
    network, images, labels = _mlp()
    whole = Given(network, images[:40], labels[:40])
    parts = [Given(network, images[at : at + 20], labels[at : at + 20]) for at in (0, 20)]
    apart = [_ask("worst_case", part)["sharpness"] for part in parts]
    found = _ask("worst_case", whole, m=20)
    assert math.isclose(found["sharpness"], sum(apart) / 2, rel_tol=1e-9)
    assert found["sharpness"] >= _ask("worst_case", whole)["sharpness"]


# -- predictions ------------------------------------------------------------------------------------------------------


def _logits():
    random = generator("logits", 0)
    logits = 3 * torch.randn(500, 5, generator=random, dtype=torch.float64)
    return logits, torch.distributions.Categorical(logits=logits / 2).sample()


def _by_definition(confidence, correct, bins):
    """The sum over bins of their share of the samples times |accuracy - mean confidence|."""
    at = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1)
    gaps = (abs(correct[at == one].mean() - confidence[at == one].mean()) * (at == one).mean() for one in set(at))
    return float(sum(gaps))


def _predictions():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        logits, labels = _logits()
    return logits.softmax(1), labels


@pytest.mark.slow  # an import that takes ten seconds
def test_calibration_errors_are_those_of_torchmetrics():
    from torchmetrics.classification import MulticlassCalibrationError

    probabilities, labels = _predictions()
    confidence, predicted = probabilities.max(1)
    for bins in (1, 10, 15):
        theirs = MulticlassCalibrationError(5, n_bins=bins, norm="l1")(probabilities, labels)
        assert math.isclose(calibration_error(confidence, predicted == labels, bins), float(theirs), rel_tol=1e-5)


def test_calibration_errors_are_those_of_the_definition():
    probabilities, labels = _predictions()
    confidence, predicted = probabilities.max(1)
    for bins in (1, 10, 15):
        expected = _by_definition(confidence.numpy(), (predicted == labels).numpy(), bins)
        assert math.isclose(calibration_error(confidence, predicted == labels, bins), expected, rel_tol=1e-9)
    assert adaptive_error(confidence, predicted == labels, 1) == pytest.approx(
        calibration_error(confidence, predicted == labels, 1)
    )
    assert adaptive_error(torch.tensor([1.0, 1.0]), torch.tensor([True, True]), 15) == 0


def test_a_temperature_is_the_minimum_that_scipy_finds():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        logits, labels = _logits()
    theirs = minimize_scalar(
        lambda t: float(F.cross_entropy(logits / math.exp(t), labels)), bounds=(-3, 3), options={"xatol": 1e-9}
    )
    assert math.isclose(fit_temperature(logits, labels), math.exp(theirs.x), rel_tol=1e-5)
    assert 1.5 < fit_temperature(logits, labels) < 2.5


def test_noisy_labels_are_told_from_clean_ones(finished):
    root, ids = finished
    noisy, clean = (open_subject(ids[kind], MeasuringOptions(root)) for kind in ("mlp", "batchnorm"))
    found = _ask("fit", noisy)
    assert {"noisy_accuracy", "corrected_accuracy"} <= {key for key, value in found.items() if math.isfinite(value)}
    assert found["train_accuracy"] == pytest.approx(
        0.8 * found["clean_accuracy"] + 0.2 * found["noisy_accuracy"], abs=0.01
    )
    without = _ask("fit", clean)
    assert without["clean_accuracy"] == without["train_accuracy"]
    assert math.isnan(without["noisy_accuracy"])
    assert without["accuracy"] == clean.record.metrics.accuracy


# -- attacks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_attack_stays_in_its_ball_and_on_a_linear_classifier_reaches_its_optimum(norm):
    random = generator("attack", 0)
    weight = torch.randn(2, 12, generator=random)
    images, labels = (
        torch.rand(20, 1, 3, 4, generator=random) * 0.5 + 0.25,
        torch.randint(0, 2, (20,), generator=random),
    )
    epsilon = 0.05

    def classifier(x):
        return x.flatten(1) @ weight.T

    start = random_start(images, norm, epsilon, generator("start", 0))
    found = pgd(classifier, images, labels, norm=norm, epsilon=epsilon, step=0.02, iterations=40, start=start)
    change = (found - images).flatten(1)
    sizes = change.abs().max(1).values if norm == "linf" else change.norm(dim=1)
    assert sizes.max() <= epsilon * (1 + 1e-5)
    assert 0 <= found.min() <= found.max() <= 1
    difference = weight[1 - labels] - weight[labels]
    dual = difference.abs().sum(1) if norm == "linf" else difference.norm(dim=1)
    torch.testing.assert_close((change * difference).sum(1), epsilon * dual, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("confidence", [1, 10, 100, 1000])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_attack_finds_no_less_where_the_same_classifier_is_more_confident(norm, confidence):
    """The derivative of a cross-entropy is 0 to rounding there, and its direction is lost."""
    random = generator("confident", 0)
    weight, images = torch.randn(3, 12, generator=random), torch.rand(50, 1, 3, 4, generator=random)
    labels = (images.flatten(1) @ weight.T).argmax(1)

    def moved(scale):
        ball = {"norm": norm, "epsilon": 0.1, "step": 0.03, "iterations": 10}
        return pgd(lambda x: scale * (x.flatten(1) @ weight.T), images, labels, **ball).flatten(1) @ weight.T

    right = [(moved(scale).argmax(1) == labels).double().mean() for scale in (1, confidence)]
    assert 0 < right[0] < 0.9
    assert right[1] <= right[0] + 0.05


def test_more_restarts_and_a_larger_radius_never_raise_robust_accuracy(finished):
    root, ids = finished
    subject = open_subject(ids["batchnorm"], MeasuringOptions(root))
    small, large = ({"epsilon": e, "samples": 100, "iterations": 3} for e in (2.0, 16.0))
    found = [_ask("pgd", subject, **small)["accuracy"], _ask("pgd", subject, **large)["accuracy"]]
    twice = _ask("pgd", subject, **large, restarts=2)
    assert twice["clean_accuracy"] >= found[0] >= found[1] >= twice["accuracy"]


# -- norms and features -----------------------------------------------------------------------------------------------


def test_the_spectral_norm_of_a_convolution_is_that_of_its_dense_matrix():
    kernel = torch.randn(3, 2, 3, 3, dtype=torch.float64, generator=generator("kernel", 0))
    inputs = torch.eye(2 * 5 * 6, dtype=torch.float64).view(-1, 2, 5, 6)
    columns = F.conv2d(F.pad(inputs, (1, 1, 1, 1), mode="circular"), kernel).flatten(1)
    assert math.isclose(conv_spectral_norm(kernel, 5, 6), float(torch.linalg.matrix_norm(columns, 2)), rel_tol=1e-10)


class _Shaped(Given):
    device = torch.device("cpu")

    class dataset:
        shape = (6,)


def test_the_path_norm_is_that_of_all_paths():
    network, images, labels = _mlp()
    first, second = network[0].weight.tolist(), network[2].weight.tolist()
    paths = itertools.product(range(6), range(10), range(4))
    exact = math.sqrt(sum((first[j][i] * second[k][j]) ** 2 for i, j, k in paths))
    assert math.isclose(path_norm(_Shaped(network, images, labels))["path_norm"], exact, rel_tol=1e-6)


def test_the_path_norm_does_not_see_whether_batchnorm_is_merged():
    network, images, labels = _mlp()
    norm = nn.BatchNorm1d(10)
    with torch.no_grad():
        norm.running_mean.normal_(generator=generator("n", 0))
        norm.running_var.uniform_(0.5, 2, generator=generator("n", 1))
        norm.weight.normal_(generator=generator("n", 2))
    whole = nn.Sequential(network[0], norm, network[1], network[2]).eval()
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    merged = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), network[2])
    with torch.no_grad():
        merged[0].weight.copy_(network[0].weight * scale[:, None])
        merged[0].bias.copy_(norm.bias - norm.running_mean * scale)
    found = [path_norm(_Shaped(n, images, labels))["path_norm"] for n in (whole, merged)]
    assert math.isclose(*found, rel_tol=1e-5)
    with pytest.raises(NotApplicable, match="GroupNorm"):
        path_norm(_Shaped(nn.Sequential(nn.GroupNorm(1, 6)), images, labels))


def test_the_rank_of_features_is_that_of_their_variance():
    random = generator("features", 0)
    features = torch.randn(200, 4, generator=random) @ torch.randn(4, 50, generator=random) + 7
    assert rank_of(features, 1 - 1e-9) == 4
    values = np.linalg.svd((features - features.mean(0)).double().numpy(), compute_uv=False) ** 2
    assert rank_of(features, 0.8) == int((np.cumsum(values) / values.sum() <= 0.8).sum()) + 1


@pytest.mark.parametrize("features", [torch.zeros(100, 8), torch.full((100, 8), 0.3), torch.ones(1, 8)])
def test_features_that_do_not_vary_have_rank_zero(features):
    assert rank_of(features, 0.99) == 0


def test_no_rank_is_above_the_number_of_features():
    assert {rank_of(torch.randn(100, 8, generator=generator("rank", i)), 1.0) for i in range(20)} == {8}


def test_norms_of_a_network_without_weights_are_zero():
    network, images, labels = _mlp()
    with torch.no_grad():
        network[2].weight.zero_()
    assert path_norm(_Shaped(network, images, labels)) == {"path_norm": 0, "log": -math.inf}


def test_norms_of_a_layer_of_zeros(finished):
    root, ids = finished
    subject = open_subject(ids["mlp"], MeasuringOptions(root))
    with torch.no_grad():
        list(subject.network.parameters())[-2].zero_()
    found = _ask("weight_norms", subject)
    assert found["log_product_spectral"] == found["log_product_frobenius"] == -math.inf
    assert found["spectral"][-1] == 0
    assert math.isfinite(found["stable_rank"])


def test_blocks_and_relus_of_a_network_are_found(finished):
    root, ids = finished
    network = open_subject(ids["batchnorm"], MeasuringOptions(root)).network
    assert list(blocks_of(network)) == ["blocks.0", "blocks.1", "blocks.2"]
    with relu_outputs() as outputs, torch.no_grad():
        network(torch.zeros(2, 1, 8, 8))
    assert len(outputs) == 2 * 3 + 1
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    with relu_outputs() as outputs, torch.no_grad():
        module(torch.ones(1, 2))
    assert len(outputs) == 1


# -- measurements -----------------------------------------------------------------------------------------------------


def test_a_run_is_measured_once_and_the_data_are_those_of_the_run(finished):
    root, ids = finished
    options = MeasuringOptions(root)
    (made,) = measure_run(ids["mlp"], [ask("margin")], options).made
    kept = Measurements(Store(root))
    assert kept.has(ids["mlp"], made.measurement_id)
    assert not kept.write(made)
    subject = open_subject(ids["mlp"], options)
    other = replace(subject.dataset, fingerprint="0" * 64)
    with pytest.raises(StateError, match="was made on other data"):
        Subject(subject.record, subject.kept, other, torch.device("cpu"), lambda run_id: subject)


def test_a_call_that_is_interrupted_goes_on_where_it_was(finished):
    root, ids = finished

    def stop(measured):
        raise KeyboardInterrupt

    what, options = ["fit"], MeasuringOptions(root)
    with pytest.raises(Interrupted, match="0 of 2 runs"):
        measure_runs(ids.values(), what, options, listen=stop)
    (rest,) = measure_runs(ids.values(), what, options)
    assert rest.run_id == ids["batchnorm"]
    assert measure_runs(ids.values(), what, options) == []


def test_what_cannot_be_measured_is_said_before_anything_starts(finished, tmp_path):
    root, ids = finished
    store = Store(tmp_path)
    for run_id in ids.values():
        store.write(Store(root).read(run_id))
    store.path(ids["mlp"]).write_text("{}")
    plan = plan_measurements([*ids.values(), "0" * 64], [ask("fit")], MeasuringOptions(tmp_path))
    assert plan.todo == {}
    assert all(any(text in line for line in plan.skipped) for text in ("cannot be used", "is not kept", "no record"))
    assert len(plan.skipped) == 3
    again = plan_measurements([ids["batchnorm"]], [ask("fit")], MeasuringOptions(tmp_path, rebuild=True))
    assert again.missing == (ids["batchnorm"],)
    assert again.rebuild_seconds > 0
