"""`theory solve`: whichever program serves gives the same iterates, and the verdict follows the data."""

import numpy as np
import pytest
from typer.testing import CliRunner

import sambench.cli.theory as commands
from sambench.benchmarks.theory.any_method import findings, run_method
from sambench.benchmarks.theory.experiments import EXPERIMENTS, guarantee
from sambench.benchmarks.theory.methods import make_method, read_step_size
from sambench.benchmarks.theory.problems import PROBLEMS, make_problem
from sambench.benchmarks.theory.programs import COMPILED, LOOPED, TENSOR, program_of
from sambench.benchmarks.theory.sampling import make_sampling
from sambench.benchmarks.theory.step_sizes import STEP_SIZES
from sambench.errors import ConfigError
from sambench.registry import load_entry_points
from tests.benchmarks.theory.conftest import build


@pytest.mark.parametrize(
    ("problem", "sampling", "variant", "lam", "program"),
    [
        pytest.param("ridge", "uniform", "unified_sam", "0.5", COMPILED, marks=pytest.mark.slow),  # it compiles
        ("ridge", "importance", "is_sam", None, COMPILED),
        ("ridge", "nice", "usam", None, TENSOR),
        ("ridge", "uniform", "gnp", None, LOOPED),
    ],
)
def test_the_program_that_serves_gives_the_iterates_of_the_registered_rule(problem, sampling, variant, lam, program):
    of = build(problem)
    drawn = make_sampling(sampling, of)
    method = make_method(of, drawn, variant, "theorem-3.2", 60, lam=lam and float(lam))
    assert program_of(of, drawn, variant) == program
    fast = run_method(of, drawn, method, steps=60, trials=2, seed=4)
    looped = run_method(of, drawn, method, steps=60, trials=2, seed=4, program=LOOPED)
    np.testing.assert_allclose(fast["gap"], looped["gap"], rtol=1e-9)
    assert fast["bound"].notna().all() == (program != LOOPED)


def test_the_verdict_follows_the_data():
    of = build("ridge")
    drawn = make_sampling("uniform", of)
    data = run_method(of, drawn, make_method(of, drawn, "sam", "theorem-3.2", 50), steps=50, trials=2, seed=0)
    assert "inside the guarantee" in findings(data)[-1]
    assert "above the guarantee" in findings(data.assign(gap=2 * data["bound"]))[-1]
    assert "No bound" in findings(data.assign(bound=np.nan))[-1]
    assert "diverged" in findings(data.assign(gap=np.inf))[-1]


@pytest.mark.parametrize(
    ("variant", "step", "given", "message"),
    [
        ("unified_sam", "theorem-3.2", {}, "takes .and needs. a lam"),
        ("sgd", "0.1", {"rho": 0.1}, "has no rho"),
        ("sam", "0.1", {"hyper": {"rho": 0.1}}, "give --rho"),
        ("sam", "theorem-9", {}, "unknown"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(variant, step, given, message):
    of = build("ridge")
    with pytest.raises(ConfigError, match=message):
        make_method(of, make_sampling("uniform", of), variant, step, 10, **given)


PLUGIN = '''
import numpy as np
from sambench.benchmarks.theory.step_sizes import STEP_SIZES

@STEP_SIZES.named("of_a_file")
def of_a_file(c, t, lam):
    """A tenth of 1/L."""
    return np.full_like(t, 0.1 / c.L), np.zeros_like(t)
'''


def test_the_command_takes_a_step_size_of_a_file(tmp_path):
    (tmp_path / "own.py").write_text(PLUGIN)
    words = "solve --problem ridge --variant sam --step-size of_a_file --rho 0.01 --steps 50 --trials 1"
    made = CliRunner().invoke(
        commands.app, [*words.split(), "--out", str(tmp_path), "--plugin", str(tmp_path / "own.py")]
    )
    assert made.exit_code == 0, made.output
    assert COMPILED in made.output
    assert (tmp_path / "solve-ridge-uniform-sam-of_a_file-rho0.01-steps50-trials1-seed0.png").is_file()


def test_every_setting_has_files_of_its_own(tmp_path):
    words = "solve --problem ridge --variant gsam --steps 20 --trials 1 --step-size 0.01"
    for more in ([], ["--set", "alpha=0.2"], ["--set", "alpha=0.9"], ["--seed", "3"], ["--rho", "0.2"]):
        made = CliRunner().invoke(commands.app, [*words.split(), "--out", str(tmp_path), *more])
        assert made.exit_code == 0, made.output
    assert len(list(tmp_path.glob("solve-*.png"))) == 5


@pytest.mark.parametrize("step", ["-1", "0", "nan", "inf"])
def test_a_constant_step_is_above_zero(step):
    with pytest.raises(ConfigError, match="a constant gamma is a number above 0"):
        read_step_size(step, "sgd")


PLUGINS = '''
import numpy as np
from sambench.benchmarks.theory.problems import PROBLEMS, make_problem
from sambench.benchmarks.theory.sampling import SAMPLINGS, SingleElement
from sambench.benchmarks.theory.step_sizes import STEP_SIZES

@PROBLEMS.named("plugged_problem")
def plugged_problem():
    """Ridge regression on twelve samples."""
    return make_problem("ridge", n=12, d=3)

@SAMPLINGS.named("plugged_sampling")
def plugged_sampling(problem):
    """Later components more often."""
    return SingleElement("plugged_sampling", 1.0 + np.arange(problem.n))

@STEP_SIZES.named("plugged_steps")
def plugged_steps(c, t, lam):
    """A tenth of 1/L."""
    return np.full_like(t, 0.1 / c.L), np.full_like(t, 0.01)
'''


@pytest.mark.parametrize("command", ["run rate", "run guarantee --variant vasso", "solve --variant sam"])
def test_commands_take_problems_samplings_and_step_sizes_of_a_file(command, tmp_path):
    (tmp_path / "plugged.py").write_text(PLUGINS)
    words = "--problem plugged_problem --sampling plugged_sampling --step-size plugged_steps --steps 40 --trials 2"
    paths = ["--out", str(tmp_path), "--plugin", str(tmp_path / "plugged.py")]
    made = CliRunner().invoke(commands.app, [*command.split(), *words.split(), *paths])
    assert made.exit_code == 0, made.output
    assert (LOOPED if "vasso" in command else COMPILED) in made.output.replace("\n", " ")
    assert len(list(tmp_path.glob("*.parquet"))) == 1


def test_an_unknown_setting_is_refused_with_those_that_there_are():
    refused = CliRunner().invoke(commands.app, ["run", "deterministic", "--trials", "3"])
    assert isinstance(refused.exception, ConfigError)
    assert "does not take --trials; it takes: --problem, --step-size, --lam, --rho, --steps" in str(refused.exception)


@pytest.mark.parametrize("variant", ["unified_sam", "sam"])
def test_an_experiment_shows_the_same_iterates_whichever_program_serves(variant, monkeypatch):
    measure = EXPERIMENTS.get("guarantee").measure
    given = {"problem": build("ridge"), "sampling": "uniform", "variant": variant, "steps": 60, "trials": 2}
    fast = measure(True, **given)
    monkeypatch.setattr(guarantee, "program_of", lambda *_: LOOPED)
    slow = measure(True, **given)
    assert set(fast["program"]) == {COMPILED}
    assert set(slow["program"]) == {LOOPED}
    np.testing.assert_allclose(fast["gap"], slow["gap"], rtol=1e-9)
    np.testing.assert_array_equal(fast["bound"], slow["bound"])


def test_an_installed_package_adds_problems_samplings_and_step_sizes(tmp_path, monkeypatch):
    (tmp_path / "their_theory.py").write_text(PLUGINS.replace("plugged", "theirs"))
    info = tmp_path / "their_theory-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-theory\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sambench.variants]\ntheory = their_theory\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(PROBLEMS, "found", False)
    load_entry_points.cache_clear()
    problem = make_problem("theirs_problem")
    assert (problem.n, make_sampling("theirs_sampling", problem).p[0]) == (12, pytest.approx(1 / 78))
    assert STEP_SIZES.summaries("theirs*") == {"theirs_steps": "A tenth of 1/L."}
