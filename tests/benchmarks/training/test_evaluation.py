"""What is measured of a model, against loops; and of an average of weights, with the statistics that belong to it."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sambench.benchmarks.training.batch_norm import RunningStatistics
from sambench.benchmarks.training.evaluation import BATCH, BINS, calibration_error, measure, predict
from sambench.benchmarks.training.weight_averaging import describe_average, evaluated

MEAN, STD = (0.5,), (0.25,)


def network():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))


@pytest.mark.parametrize("training", [True, False])
def test_predictions_are_of_the_mode_of_evaluation_and_leave_the_model_in_its_own(training):
    model = network().train(training)
    images = torch.randint(256, (BATCH + 3, 1, 2, 2), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    before = [b.clone() for b in model.buffers()]
    found = predict(model, images, MEAN, STD, precision="fp32")
    assert model.training == training
    assert all(map(torch.equal, model.buffers(), before))
    expected = network().eval()((images / 255 - 0.5) / 0.25).detach()
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad


def test_a_measurement_is_what_counting_gives():
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(40) % 3
    found = measure(logits, labels)
    right = [int(row.argmax()) == int(label) for row, label in zip(logits, labels, strict=True)]
    assert found.correct.tolist() == right
    assert found.accuracy == sum(right) / 40
    assert found.loss == pytest.approx(float(F.cross_entropy(logits.double(), labels)), rel=1e-12)
    assert found.ece == pytest.approx(calibration_error(logits.softmax(1).amax(1), torch.tensor(right)))


@pytest.mark.parametrize("bins", [1, 4, BINS])
def test_calibration_error_is_the_sum_over_bins_that_are_open_below(bins):
    confidence = torch.cat([torch.rand(60, generator=torch.Generator().manual_seed(3)), torch.tensor([0.0, 0.25, 1.0])])
    correct = torch.arange(63) % 3 > 0
    expected = 0.0
    for number in range(bins):
        inside = [
            i for i, c in enumerate(confidence.tolist()) if number < c * bins <= number + 1 or (c == 0 and not number)
        ]
        expected += abs(sum(float(correct[i]) - float(confidence[i]) for i in inside)) / 63
    assert calibration_error(confidence, correct, bins) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("bins", "confidence", "error"),
    [
        (4, [0.1, 0.4], (0.9 + 0.4) / 2),  # the first two bins, apart
        (4, [0.1, 0.2], (0.9 - 0.2) / 2),
        (4, [0.9, 0.7], (0.1 + 0.7) / 2),  # the last two
        (None, [0.940, 0.935], (0.935 - 0.06) / 2),  # 15 bins unless told: both lie above 14/15, on sides of 15/16
        (None, [0.935, 0.932], (0.065 + 0.932) / 2),
    ],
)
def test_calibration_error_of_one_right_and_one_wrong(bins, confidence, error):
    told = () if bins is None else (bins,)
    found = calibration_error(torch.tensor(confidence, dtype=torch.float64), torch.tensor([True, False]), *told)
    assert found == pytest.approx(error)


def average(model, statistics, count=2, name="mine"):
    """Something that puts ones into the weights for as long as it is applied."""

    @contextmanager
    def applied():
        stored = [p.detach().clone() for p in model.parameters()]
        with torch.no_grad():
            for p in model.parameters():
                p.fill_(1.0)
        yield
        with torch.no_grad():
            torch._foreach_copy_(list(model.parameters()), stored)

    return SimpleNamespace(name=name, count=count, statistics=statistics, applied=applied)


@pytest.mark.parametrize(
    ("statistics", "count", "passes"), [("recomputed", 2, 3), ("recomputed", 0, 0), ("averaged", 2, 0)]
)
def test_statistics_are_made_anew_where_the_average_needs_it(statistics, count, passes):
    model = network()
    batches = [torch.randn(5, 4, generator=torch.Generator().manual_seed(n)) + n for n in range(3)]
    model(torch.randn(5, 4, generator=torch.Generator().manual_seed(9)))
    before = {key: t.clone() for key, t in model.state_dict().items()}
    mine, kept = average(model, statistics, count), RunningStatistics(model)
    with evaluated(mine, model, kept, (lambda x=x: model(x) for x in batches)) as made:
        assert made == passes
        assert all(bool((p == 1).all()) for p in model.parameters())
        means = torch.stack([1 + x.sum(1).mean() for x in batches]).mean().expand(6)
        torch.testing.assert_close(model[2].running_mean, means if passes else before["2.running_mean"])
        assert int(model[2].num_batches_tracked) == (passes or 1)
    assert all(map(torch.equal, model.state_dict().values(), before.values()))
    said = describe_average(mine, passes)
    assert (said.average, said.models, said.statistics, said.passes) == ("mine", count, statistics, passes)
    assert describe_average(average(model, statistics, name="none"), 0) is None


def test_a_model_without_running_statistics_needs_no_pass():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False))
    assert RunningStatistics(model).recompute(model, (pytest.fail for _ in range(3))) == 0
