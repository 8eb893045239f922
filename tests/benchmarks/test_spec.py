"""RunSpec: fully resolved, identified by all of it, refused with every error at once."""

from pathlib import Path

import pytest
import torch

import sambench
from sambench.benchmarks.resolve import make_spec, recipe_of
from sambench.benchmarks.spec import ADDED, RunSpec
from sambench.benchmarks.suites.suite import expand_suite
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.datasets.source import Source
from sambench.errors import ConfigError
from sambench.results.records.record import run_id_of
from sambench.results.records.store import Store
from sambench.variants import create, list_variants
from sambench.variants._bases import base_hyper, list_bases

MAY_BE_ZERO = [
    name
    for name, field in RunSpec.model_fields.items()
    if isinstance(field.default, float) and any(getattr(limit, "ge", 1) == 0 for limit in field.metadata)
]


def test_a_spec_is_fully_resolved():
    spec = make_spec({"variant": "is_sam", "dataset": "cifar10"})
    assert spec.sampler == "importance"
    assert spec.hyper == {"rho": 0.05, "score": "grad_norm", "mix": 0.3, "refresh": 1}
    assert spec.augment == "crop:4,flip,cutout:16"
    assert spec.model == "wrn16_1"
    assert make_spec({"variant": "sam", "dataset": "cifar100"}).hyper["rho"] == 0.1


def test_the_id_is_the_hash_of_everything():
    spec = make_spec({})
    assert spec.run_id == run_id_of(spec.model_dump(mode="json"))
    assert len(spec.run_id) == 64
    changes = {
        "variant": "sam", "base": "adamw", "sampler": "importance", "lr": 0.2, "momentum": 0.8, "nesterov": True,
        "weight_decay": 0.1, "weight_decay_mode": "in_loss", "dataset": "cifar10", "split": "search", "subset": 9,
        "noise": 0.1, "noise_kind": "asymmetric", "imbalance": 2.0, "augment": "flip", "model": "mlp",
        "norm": "group", "epochs": 3, "batch_size": 7, "drop_last": False, "accumulate": 2, "label_smoothing": 0.1,
        "schedule": "constant", "schedule_unit": "epoch", "warmup_epochs": 1.0, "milestones": [0.9], "gamma": 0.5,
        "clip": 1.0, "bn_update": "all", "precision": "fp16", "channels_last": False, "seed": 4, "eval_every": 2,
        "hook": "saf", "average": "ema", "batch_schedule": "doubling", "batch_growth": 2.0, "power": 2.0,
        "rho_schedule": "cosine", "labels": "random", "pixels": "shuffled",
        "init": "adversarial", "init_epochs": 9, "replace_example": 0,
    }  # fmt: skip
    assert set(changes) == set(RunSpec.model_fields) - {"hyper"}
    needed = {
        "rho_schedule": {"variant": "stable_sam"},
        "init_epochs": {"init": "adversarial"},
        "replace_example": {"subset": 8},
    }
    specs = [make_spec({**needed.get(name, {}), name: value}) for name, value in changes.items()]
    assert len({one.run_id for one in [*specs, spec]}) == len(changes) + 1


def test_what_is_said_twice_is_one_run():
    written = make_spec(
        {"augment": "flip, crop:4", "hyper": {"rho": "0.05"}, "variant": "sam", "milestones": [0.5, 0.75]}
    )
    assert written.run_id == make_spec({"augment": "crop:4,flip", "variant": "sam", "hyper": {"rho": 0.05}}).run_id
    assert RunSpec.model_validate_json(written.model_dump_json()).run_id == written.run_id


@pytest.mark.parametrize("base", list_bases())
def test_a_base_keeps_the_momentum_that_it_is_known_for(base):
    own, spec = base_hyper(base), make_spec({"base": base})
    assert spec.nesterov == bool(own.get("nesterov"))
    assert spec.momentum == ((own["momentum"] or 0.9) if "momentum" in own else None)
    assert make_spec(spec.model_dump()) == spec
    if own.get("nesterov"):
        assert not make_spec({"base": base, "nesterov": False}).nesterov


def test_a_data_set_that_is_read_by_a_format_has_the_recipe_of_its_loader(tmp_path):
    assert recipe_of("mine", "imagefolder64:/x") == "crop:8,flip"
    assert recipe_of("digits", "parquet:/x") == "crop:1"  # what is declared by name comes first
    content = {"sources": {"mine": "imagefolder64:/x"}, "spec": {"dataset": "mine"}, "runs": [{"variant": "sgd"}]}
    assert {spec.augment for spec in expand_suite("s", content, tmp_path).specs} == {"crop:8,flip"}
    content["spec"]["augment"] = "none"
    assert {spec.augment for spec in expand_suite("s", content, tmp_path).specs} == {"none"}


@pytest.mark.parametrize("name", [info.name for info in list_variants() if info.steps_base])
def test_every_variant_resolves_on_several_bases(name):
    for base, momentum in (("sgd", 0.9), ("adamw", None), ("lion", None)):
        spec = make_spec({"variant": name, "base": base})
        assert spec.momentum == momentum
        assert "lr" in spec.optimizer_arguments()


@pytest.mark.parametrize("name", [info.name for info in list_variants() if not info.steps_base])
def test_a_variant_that_never_steps_its_base_refuses_what_acts_on_those_steps(name):
    spec = make_spec({"variant": name})
    assert (spec.momentum, spec.nesterov) == (None, False)
    create(name, torch.nn.Linear(2, 1), **spec.optimizer_arguments())
    idle = {"clip": 5.0, "base": "adamw", "momentum": 0.9, "nesterov": True}
    with pytest.raises(ConfigError) as caught:
        make_spec({"variant": name, **idle})
    lines = str(caught.value).splitlines()
    assert len(lines) == len(idle)
    for field in idle:
        assert any(line.startswith(f"{field}=") and "never steps its base" in line for line in lines)


def test_clipping_is_there_for_all_other_variants():
    assert [info.name for info in list_variants() if not info.steps_base] == ["bsam"]
    assert make_spec({"variant": "sam", "clip": 5.0}).clip == 5.0


def test_all_errors_come_at_once_with_suggestions():
    given = {"variant": "samm", "datset": "x", "epochs": 0, "lr": "fast", "augment": "crop:x", "sampler": "imp"}
    with pytest.raises(ConfigError) as caught:
        make_spec(given)
    lines = str(caught.value).splitlines()
    for part in ("'datset'; did you mean 'dataset'", "epochs=0", "lr='fast'", "did you mean 'sam'", "crop:x"):
        assert sum(part in line for line in lines) == 1, part


def test_all_wrong_hyper_parameters_come_at_once():
    with pytest.raises(ConfigError) as caught:
        make_spec({"variant": "unified_sam", "hyper": {"roh": 1, "lamda": 2, "rho": -1, "lam": 2}, "epochs": 0})
    lines = str(caught.value).splitlines()
    for part in ("epochs=0", "did you mean 'rho'", "did you mean 'lam'", "rho=-1 is not valid", "lam=2 is not valid"):
        assert sum(part in line for line in lines) == 1, part


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "sam", "hyper": {"rh": 1}}, "did you mean 'rho'"),
        ({"variant": "sam", "hyper": {"rho": -1}}, "rho=-1 is not valid: it must be a number >= 0"),
        ({"variant": "unified_sam", "hyper": {"lam": 1.5}}, r"a number in \[0, 1\] or one of '1/t', '1-1/t'"),
        ({"hyper": {"rho": 1}}, "unknown hyper-parameter .* Valid: none"),
        ({"hyper": {"rho": float("nan")}}, r"^hyper\.rho=nan is not valid: input should be a finite number$"),
        ({"lr": float("inf")}, "lr=inf is not valid: input should be a finite number"),
        ({"milestones": [0.5, 2]}, r"milestones\.1=2 is not valid: input should be less than 1"),
        ({"base": "adamw", "momentum": 0.9}, "base optimizer 'adamw' has none"),
        ({"base": "adahessian"}, "second derivatives"),
        ({"model": "wrn17_1"}, "6n"),
        ({"model": "resnet19"}, "did you mean 'resnet18'"),
        ({"schedule": "cosin"}, "'cosine', 'multistep', 'constant' or 'polynomial'"),
    ],
)
def test_bad_values_say_what_is_valid(given, message):
    with pytest.raises(ConfigError, match=message):
        make_spec(given)


@pytest.mark.parametrize(
    ("text", "name", "location"),
    [
        ("digits", "digits", "digits"),
        ("cifar10-jpeg=parquet:some/dir", "cifar10-jpeg", "parquet:some/dir"),
        ("parquet:some/Dir/", "parquet-dir", "parquet:some/Dir/"),
    ],
)
def test_a_source_names_the_data_and_its_place(text, name, location):
    assert Source.parse(text) == Source(name, location)


def test_specs_of_published_records_are_still_those_runs():
    records = list(Store(Path(sambench.__file__).parent / "results").records())
    assert records
    for record in records:
        assert RunSpec.model_validate(record.spec).run_id == record.run_id


@pytest.mark.parametrize("name", ["seed", *ADDED])
def test_a_field_that_came_later_leaves_ids_alone_until_it_has_an_effect(name, monkeypatch):
    neutral = RunSpec.model_fields[name].default
    assert ADDED.get(name, neutral) == neutral
    spec = make_spec({})
    monkeypatch.setitem(ADDED, name, neutral)
    assert name not in spec.model_dump(mode="json")
    assert RunSpec.model_validate(spec.model_dump(mode="json")) == spec
    other = spec.model_copy(update={name: 7})
    assert other.model_dump(warnings=False)[name] == 7


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"base": "adamw"}, {"base": "AdamW"}),
        ({"base": "sgd"}, {"base": "SGD"}),
        *(({name: 0.0}, {name: -0.0}) for name in MAY_BE_ZERO),
        ({"variant": "sam", "hyper": {"rho": 0.0}}, {"variant": "sam", "hyper": {"rho": "-0"}}),
    ],
    ids=str,
)
def test_two_spellings_of_one_value_are_one_run(one, other):
    assert make_spec(one).run_id == make_spec(other).run_id


@pytest.mark.parametrize("model", ["wrn1\u0660_1", "wrn010_1", "WRN10_1", "wrn10_1 "])
def test_a_model_has_one_name(model):
    with pytest.raises(ConfigError, match="unknown model"):
        make_spec({"model": model})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "the run trains on all samples that there are; leave some out, such as by subset"),
        ({"subset": 3}, "the run has 3 samples, 0 to 2"),
        ({"subset": 9, "noise": 0.1, "noise_kind": "asymmetric"}, "asymmetric noise would change other labels with it"),
    ],
)
def test_an_example_that_cannot_be_replaced_is_refused(fields, says):
    with pytest.raises(ConfigError, match=f"replace_example=3 is not valid: {says}"):
        make_spec({**fields, "replace_example": 3})


@pytest.mark.parametrize("base", ["sgd", "adam", "adamw"])
def test_fused_kernels_are_a_setting_of_the_run(base: str, tmp_path: Path) -> None:
    """Another run, with nearly the same weights; the other way round it is the run that says nothing."""
    fields = {
        "variant": "sam",
        "base": base,
        "lr": 0.01,
        "dataset": "digits",
        "model": "mlp",
        "epochs": 2,
    }
    plain, fused = make_spec(fields), make_spec(fields | {"hyper": {"fused": True}})
    assert make_spec(fields | {"hyper": {"fused": False}}) == plain
    assert fused.run_id != plain.run_id
    records = [run_spec(spec, Store(tmp_path)) for spec in (plain, fused)]
    (loss, other) = (record.metrics.loss for record in records if record.metrics)
    assert loss == pytest.approx(other, rel=1e-4)
    run = TrainState(fused, load("digits"), torch.device("cpu"))
    assert [group["fused"] for group in run.optimizer.param_groups] == [True]
    with pytest.raises(ConfigError, match="unknown hyper-parameter 'fused'"):
        make_spec(fields | {"base": "lion", "hyper": {"fused": True}})
