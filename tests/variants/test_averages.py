"""Weight averages: parity with torch and timm, the model comes back to the bit, state is exact."""

import io

import pytest
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from sambench.benchmarks.training.batch_norm import RunningStatistics
from sambench.errors import ConfigError
from sambench.variants import AVERAGES, Hyper, WeightAverage, create_average

NAMES = [cls.name for cls in AVERAGES.all()]
STEPS, EPOCH = 40, 4


def make_model(dtype=torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(dtype)


def walk(model, step):
    """Move weights and statistics as some training might."""
    stream = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for t in [*model.parameters(), *model.buffers()]:
            if t.is_floating_point():
                t.add_(torch.randn(t.shape, generator=stream, dtype=torch.float64).to(t) * 0.1)


def floats(model):
    return [t.detach().clone() for t in model.state_dict().values() if t.is_floating_point()]


def averaged(average, model):
    with average.applied():
        return floats(model)


@pytest.mark.parametrize("name", NAMES)
def test_model_is_back_to_the_bit_also_after_an_exception(name):
    model = make_model(torch.bfloat16)
    average = create_average(name, model, steps_per_epoch=EPOCH, total_steps=STEPS)
    for step in range(STEPS):
        walk(model, step)
        average.update()
    before, storage = floats(model), [p.data_ptr() for p in model.parameters()]
    inside = []
    with pytest.raises(KeyError), average.applied():
        inside.append(floats(model)) or {}["missing"]
    assert all(torch.equal(a, b) for a, b in zip(floats(model), before, strict=True))
    assert [p.data_ptr() for p in model.parameters()] == storage
    assert (name == "none") == all(torch.equal(a, b) for a, b in zip(inside[0], before, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_state_goes_through_a_file_to_the_same_bits(name):
    ours, model = [], make_model()
    average = create_average(name, model, steps_per_epoch=EPOCH, total_steps=STEPS)
    for stop in (11, STEPS):
        for step in range(average.steps, stop):
            walk(model, step)
            average.update()
        ours.append(averaged(average, model))
        buffer = io.BytesIO()
        torch.save(average.state_dict(), buffer)
        buffer.seek(0)
        average = create_average(name, model, steps_per_epoch=EPOCH, total_steps=STEPS)
        average.load_state_dict(torch.load(buffer, weights_only=True))
        assert all(torch.equal(a, b) for a, b in zip(averaged(average, model), ours[-1], strict=True))
    whole, model = make_model(), None
    model, average = whole, create_average(name, whole, steps_per_epoch=EPOCH, total_steps=STEPS)
    for step in range(STEPS):
        walk(model, step)
        average.update()
    assert all(torch.equal(a, b) for a, b in zip(averaged(average, model), ours[-1], strict=True))


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_ema_without_warm_up_is_that_of_torch(decay):
    model = make_model()
    ours = create_average("ema", model, ema_decay=decay, ema_warmup=False)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    for step in range(STEPS):
        walk(model, step)
        ours.update()
        theirs.update_parameters(model)
    pairs = zip(averaged(ours, model), floats(theirs.module), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-14


def test_ema_is_that_of_timm_but_for_where_it_starts():
    """timm's starts from the weights before the first step: given those of the first step, the two are one."""
    model = make_model()
    ours = create_average("ema", model, ema_decay=0.9, ema_warmup=False)
    walk(model, 0)
    theirs = ModelEmaV3(model, decay=0.9)
    ours.update()
    for step in range(1, STEPS):
        walk(model, step)
        ours.update()
        theirs.update(model)
    pairs = zip(averaged(ours, model), floats(theirs.module), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-14


def test_swa_with_its_statistics_is_that_of_torch():
    """AveragedModel over the ends of the last epochs, and update_bn over the same batches."""
    model = make_model()
    ours = create_average("swa", model, steps_per_epoch=EPOCH, total_steps=STEPS, swa_start=0.5)
    theirs = AveragedModel(model)
    for step in range(STEPS):
        walk(model, step)
        ours.update()
        if step + 1 in (24, 28, 32, 36, 40):
            theirs.update_parameters(model)
    stream = torch.Generator().manual_seed(5)
    batches = [torch.randn(6, 3, generator=stream, dtype=torch.float64) for _ in range(4)]
    update_bn(batches, theirs)
    with ours.applied():
        statistics = RunningStatistics(model)
        assert statistics.recompute(model, [lambda x=x: model(x) for x in batches]) == 4
        pairs = list(zip(floats(model), floats(theirs.module), strict=True))
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-14
    assert ours.count == 5
    assert model[1].momentum == 0.1
    assert model.training


def test_swa_brings_the_schedule_of_its_authors():
    """Epochs of 200: their schedule(epoch), with swa_start 161 read as epoch 160 of 200."""
    average = create_average("swa", make_model(), steps_per_epoch=1, total_steps=200)

    def published(epoch):
        t = epoch / 160
        return 1.0 if t <= 0.5 else 1.0 - 0.5 * (t - 0.5) / 0.4 if t <= 0.9 else 0.5

    for epoch in range(200):
        assert average.schedule(epoch / 200) == pytest.approx(published(epoch), abs=1e-12)
    assert [step for step in range(1, 201) if average.share(step) is not None] == list(range(161, 201))
    assert create_average("swa", make_model(), swa_lr=0.0).schedule(0.9) is None


def test_warm_up_forgets_the_start():
    model = make_model()
    average = create_average("ema", model, ema_decay=0.999)
    assert [round(1 - average.share(step), 4) for step in (1, 90, 10_000)] == [0.1818, 0.91, 0.999]


def test_an_average_in_half_precision_is_kept_in_single():
    model = make_model(torch.float16)
    average = create_average("ema", model)
    average.update()
    assert {t.dtype for t in average.copies()} == {torch.float32}


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"name": "mine", "hyper": {"decay": Hyper(0.5, "weight")}}, "must start with 'mine_'"),
        ({"name": "mine", "status": "trusted"}, "has status 'trusted'; valid: reference"),
        ({"name": "mine", "statistics": "guessed"}, "has statistics 'guessed'; valid: averaged, recomputed"),
    ],
)
def test_wrong_metadata_is_refused(attributes, says):
    with pytest.raises(ConfigError, match=says):
        type("Mine", (WeightAverage,), attributes)


def test_names_are_unique_and_values_checked():
    with pytest.raises(ConfigError, match="'ema' is already registered by"):
        AVERAGES.register(type("Mine", (WeightAverage,), {"name": "ema"}))
    with pytest.raises(ConfigError, match="has no name"):
        AVERAGES.register(type("Mine", (WeightAverage,), {}))
    with pytest.raises(ConfigError, match="ema_decay=2 is not valid"):
        create_average("ema", make_model(), ema_decay=2)
    with pytest.raises(ConfigError, match="unknown weight average 'emma'; did you mean 'ema'"):
        create_average("emma", make_model())
