"""Problems from LIBSVM files on disk, by name, in Python and on the command line."""

import bz2

import numpy as np
import pytest
import torch
from sklearn.datasets import dump_svmlight_file, load_breast_cancer, load_diabetes
from typer.testing import CliRunner

import sambench.cli.theory as commands
from sambench.benchmarks.theory.experiments import EXPERIMENTS, read_data, run_experiment
from sambench.benchmarks.theory.problems import PROBLEMS, make_problem
from sambench.errors import ConfigError, DataError
from tests.benchmarks.theory.conftest import build


def lines(labels, features) -> str:
    """The official format: a label, then 1-based index:value pairs in increasing order, zeros left out."""
    return "".join(
        f"{label} {' '.join(f'{j + 1}:{value!r}' for j, value in enumerate(map(float, row)) if value)}\n"
        for label, row in zip(labels, features, strict=True)
    )


@pytest.fixture
def features():
    values = np.random.default_rng(0).standard_normal((12, 3))
    values[4, 1] = values[7, 0] = 0.0
    return values


@pytest.fixture
def two_labels(tmp_path, features):
    path = tmp_path / "small.scale"
    path.write_text(lines(["+1" if i % 3 else "-1" for i in range(12)], features))
    return path


def test_two_labels_make_a_logistic_model_of_the_standardized_features(two_labels, features):
    model = make_problem(f"libsvm:{two_labels}")
    assert (model.name, model.link, model.n, model.d, model.mu) == ("small", "logistic", 12, 4, 1 / 12)
    scaled = (features - features.mean(0)) / features.std(0)
    torch.testing.assert_close(model.features[:, :3], torch.from_numpy(scaled))
    assert (model.features[:, 3] == 1).all()
    assert model.targets.tolist() == [1.0 if i % 3 else -1.0 for i in range(12)]


def test_other_labels_make_a_ridge_model(tmp_path, features):
    path = tmp_path / "measured"
    path.write_text(lines(0.5 * np.arange(12), features))
    model = make_problem(f"libsvm:{path}", regularization=0.5)
    assert (model.link, model.regularization) == ("square", 0.5)
    assert float(model.targets.std(correction=0)) == pytest.approx(1)
    assert make_problem(f"libsvm:{path}").regularization == 1 / 12


@pytest.mark.parametrize(("load", "name"), [(load_breast_cancer, "breast-cancer"), (load_diabetes, "diabetes")])
def test_a_file_of_another_library_gives_the_embedded_problem(load, name, tmp_path):
    path = tmp_path / "dumped"
    dump_svmlight_file(*load(return_X_y=True), str(path), zero_based=False)
    ours, embedded = make_problem(f"libsvm:{path}"), build(name)
    torch.testing.assert_close(ours.features, embedded.features, rtol=1e-9, atol=1e-9)
    for constant in ("mu", "L", "L_max", "L_avg", "minimum", "sigma_star"):
        assert getattr(ours, constant) == pytest.approx(getattr(embedded, constant), rel=1e-8)


def test_a_compressed_file_is_the_same_problem(two_labels):
    packed = two_labels.with_suffix(".bz2")
    packed.write_bytes(bz2.compress(two_labels.read_bytes()))
    one, other = make_problem(f"libsvm:{two_labels}"), make_problem(f"libsvm:{packed}")
    torch.testing.assert_close(one.features, other.features, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("not a number\n", "not in LIBSVM format"),
        ("1 3:1.0 2:1.0\n-1 1:1.0\n", "not in LIBSVM format"),
        ("", "two different labels"),
        ("1 1:1.0\n1 1:2.0\n", "two different labels"),
        ("1 1:nan\n-1 1:2.0\n", "finite numbers"),
        ("1 1:1.0\n-1 20000000:2.0\n", "holds at most 20,000,000 numbers"),
    ],
)
def test_invalid_files_are_refused_with_the_reason(content, message, tmp_path):
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        make_problem(f"libsvm:{path}")


def test_readers_are_listed_and_a_taken_name_is_refused():
    assert PROBLEMS.names("*:*") == ["libsvm:FILE"]
    with pytest.raises(ConfigError, match="libsvm:FILE"):
        make_problem("libsvn:some-file")
    with pytest.raises(ConfigError, match="already registered"):
        PROBLEMS.named("libsvm:FILE")(lambda path: make_problem("ridge"))


def test_the_command_runs_an_experiment_on_a_file_and_says_what_it_shows(two_labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    made = runner.invoke(commands.app, ["run", "importance", "--problem", f"libsvm:{two_labels}", "--quick"])
    assert made.exit_code == 0, made.output
    assert [line for line in made.output.splitlines() if line.startswith("sambench-results")] == [
        f"sambench-results/theory/importance-small.{suffix}" for suffix in ("parquet", "png", "svg")
    ]
    model = make_problem(f"libsvm:{two_labels}")
    assert f"importance sampling are {model.L_max / model.L_avg:.2f} times as long" in made.output
    refused = runner.invoke(commands.app, ["run", "importance", "--problem", "libsvm:absent", "--quick"])
    assert isinstance(refused.exception, DataError)


SETTINGS = {
    "problem": "sines",
    "sampling": "nice",
    "variant": "vasso",
    "step_size": "theorem-3.2-older",
    "hyper": {"theta": 0.5},
    "lam": (0.3,),
    "rho": 0.02,
    "steps": 24,
    "trials": 2,
    "seed": 5,
}


@pytest.mark.slow  # a second or two each, beside what test_experiments runs
@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_every_setting_that_an_experiment_has_is_taken_and_the_others_are_refused(name, tmp_path):
    experiment = EXPERIMENTS.get(name)
    given = {key: SETTINGS[key] for key in experiment.settings}
    if "variant" in given:  # which has no lambda
        del given["lam"]
    if "problem" in given:
        given["problem"] = build(given["problem"])
    paths = run_experiment(name, tmp_path, quick=True, **given)
    assert all(path.name.startswith(name) and path.name != name for path in paths)
    findings = experiment.findings(read_data(paths[0].stem, tmp_path))
    assert findings
    assert not any("nan" in text for text in findings)
    for key in SETTINGS.keys() - set(experiment.settings):
        with pytest.raises(ConfigError, match=f"{name}' does not take --.*; it takes: "):
            run_experiment(name, tmp_path, quick=True, **{key: SETTINGS[key]})


def test_settings_name_the_files(tmp_path):
    paths = run_experiment("decreasing", tmp_path, quick=True, problem=build("ridge"), lam=(0.0, "1/t"), steps=90)
    assert paths[0].name == "decreasing-ridge-lam=0,1_t-steps=90.parquet"
