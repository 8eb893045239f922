"""Suites expand in one order, and refuse all that is wrong at once."""

import json
import re

import pytest

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.spec import RunSpec
from sambench.benchmarks.suites.files import list_suites
from sambench.benchmarks.suites.suite import load_suite, read_predictions
from sambench.datasets.source import Source
from sambench.errors import ConfigError
from sambench.variants import list_variants

TEXT = """
title = "Two by three"
seeds = [5, 6]
[sources]
mine = "parquet:images"
[spec]
dataset = "mine"
epochs = 3
[[runs]]
variant = "unified_sam"
lam = 0.5
grid = { rho = [0.1, 0.2, 0.3] }
[[runs]]
variant = "sgd"
seed = 9
[[runs]]
variant = "sgd"
grid = { seed = [9] }
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


def test_a_suite_expands_over_grid_and_seeds_in_order(written, tmp_path):
    suite = load_suite(written(TEXT))
    rows = [(s.variant, s.hyper.get("rho"), s.hyper.get("lam"), s.seed, s.epochs) for s in suite.specs]
    assert rows == [
        *[("unified_sam", rho, 0.5, seed, 3) for rho in (0.1, 0.2, 0.3) for seed in (5, 6)],
        ("sgd", None, None, 9, 3),
    ]
    assert suite.source(suite.specs[0]) == Source("mine", f"parquet:{tmp_path / 'images'}")
    assert load_suite(written(TEXT)).specs == suite.specs


def test_a_place_given_by_the_user_goes_first(written):
    suite = load_suite(written(TEXT), (Source("mine", "parquet:/elsewhere"),))
    assert suite.source(suite.specs[0]).location == "parquet:/elsewhere"


@pytest.mark.parametrize("name", list_suites())
def test_shipped_suites_are_valid_and_say_what_they_show(name):
    suite = load_suite(name)
    assert suite.specs
    assert suite.title != name
    assert len(suite.description) > 60


@pytest.mark.parametrize(
    ("name", "workloads"),
    [
        ("unified-sam-table2", {("wrn28_10", "cifar10")}),
        ("unified-sam-cifar100", {("wrn28_10", "cifar100")}),
        ("unified-sam-prn18", {("preactresnet18", "cifar10"), ("preactresnet18", "cifar100")}),
    ],
)
def test_the_grid_of_the_base_paper(name, workloads):
    suite = load_suite(name)
    grid = {(rho, lam) for rho in (0.1, 0.2, 0.3, 0.4) for lam in (0.0, 0.5, 1.0, "1/t", "1-1/t")}
    assert {(s.hyper["rho"], s.hyper["lam"]) for s in suite.specs if s.variant == "unified_sam"} == grid
    assert len(suite.specs) == 5 * len(workloads) * (len(grid) + 2), "at both budgets SGD has runs of its own"
    assert {(s.model, s.dataset) for s in suite.specs} == workloads
    assert {(s.momentum, s.weight_decay) for s in suite.specs} == {(0.9, 5e-4)}


def test_all_errors_come_at_once(written):
    text = 'titel = "x"\n[spec]\nepoch = 3\n[[runs]]\nvariant = "sma"\n[[runs]]\nvariant = "sam"\nrh = 1\n'
    with pytest.raises(ConfigError) as caught:
        load_suite(written(text))
    message = str(caught.value)
    for part in ("did you mean 'title'", "'epoch'; did you mean 'epochs'", "number 1: unknown variant 'sma'", "'rho'"):
        assert part in message


def test_values_of_the_wrong_kind_come_at_once_too(written):
    with pytest.raises(ConfigError) as caught:
        load_suite(written('titel = 1\ntitle = 2\nseeds = [0, "a"]\ntracks = "E"\nspec = "mlp"\nruns = [3]\n'))
    message = str(caught.value)
    for part in (
        "did you mean 'title'",
        "title=2 is",
        "seeds.1='a' is",
        "tracks='E' is",
        "spec='mlp' is",
        "runs.0=3 is",
    ):
        assert part in message


@pytest.mark.parametrize(("text", "message"), [("title = ", "not valid TOML"), ('title = "x"', r"has no \[\[runs\]\]")])
def test_files_that_are_no_suites(written, text, message):
    with pytest.raises(ConfigError, match=message):
        load_suite(written(text))


def test_unknown_names():
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        load_suite("quikstart")
    with pytest.raises(ConfigError, match="does not exist"):
        load_suite("nowhere.toml")


@pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)
def test_an_entry_may_name_every_hyper_parameter_of_its_variant(info, written):
    values = {name: json.dumps(hyper.default) for name, hyper in info.hyper.items()}
    clash = sorted(set(values) & set(RunSpec.model_fields))
    head = f'[[runs]]\nvariant = "{info.name}"\n'
    beside = "".join(f"{name} = {value}\n" for name, value in values.items())
    if clash:
        with pytest.raises(ConfigError, match=f"'{clash[0]}' is a field of every run and a hyper-parameter of"):
            load_suite(written(head + beside))
    else:
        assert load_suite(written(head + beside)).specs == (make_spec({"variant": info.name}),)
    inside = ", ".join(f"{name} = {value}" for name, value in values.items())
    assert load_suite(written(f"{head}hyper = {{ {inside} }}\n")).specs == (make_spec({"variant": info.name}),)


@pytest.mark.parametrize(
    ("table", "keep"),
    [
        ("", ""),
        ("[keep]", "weights"),
        ("[keep]\nweights = true", "weights"),
        ('[keep]\nat = [0, 10, "50%"]', "weights@0,10,50%"),
        ("[keep]\nweights = false", ""),
    ],
)
def test_a_suite_says_what_is_kept_of_its_runs(table, keep, written):
    suite = load_suite(written(TEXT.replace("[spec]", f"{table}\n[spec]")))
    assert suite.keep == keep
    assert suite.run_ids == load_suite(written(TEXT)).run_ids


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("[keep]\nweight = true", "extra inputs are not permitted"),
        ('[keep]\nat = ["half"]', "keep='weights@half' is not valid"),
        ("[keep]\nat = [-1]", "keep='weights@-1' is not valid"),
        ("[keep]\nweights = false\nat = [0]", "at=... is not valid without weights"),
        ('[keep]\nweights = "yes"', "weights='yes' is not valid"),
    ],
)
def test_what_a_suite_cannot_keep_is_refused(table, told, written):
    with pytest.raises(ConfigError, match=re.escape(told)):
        load_suite(written(TEXT.replace("[spec]", f"{table}\n[spec]")))


def test_predictions_are_read_without_the_runs(written):
    text = '[predictions]\nstudy = "less"\n[[runs]]\nvariant = "no such variant"\n'
    assert read_predictions(written(text)) == {"study": "less"}
    for wrong, told in (
        ("[prediction]\nstudy = 'less'\n", "did you mean 'predictions'"),
        ("[predictions]\nstudy = 1\n", "predictions.study"),
    ):
        with pytest.raises(ConfigError, match=told):
            read_predictions(written(wrong))
