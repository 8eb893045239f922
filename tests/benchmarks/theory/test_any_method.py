"""`theory solve`: whichever program serves gives the same iterates, and the verdict follows the data."""

import numpy as np
import pytest
from typer.testing import CliRunner

import sambench.cli.theory as commands
from sambench.benchmarks.theory.any_method import (
    COMPILED,
    LOOPED,
    TENSOR,
    findings,
    make_method,
    program_of,
    run_method,
)
from sambench.benchmarks.theory.sampling import make_sampling
from sambench.errors import ConfigError
from tests.benchmarks.theory.conftest import build


@pytest.mark.parametrize(
    ("problem", "sampling", "variant", "lam", "program"),
    [
        ("ridge", "uniform", "unified_sam", "0.5", COMPILED),
        ("ridge", "importance", "is_sam", None, COMPILED),
        ("ridge", "nice", "usam", None, TENSOR),
        ("ridge", "uniform", "gnp", None, LOOPED),
    ],
)
def test_the_program_that_serves_gives_the_iterates_of_the_registered_rule(problem, sampling, variant, lam, program):
    of = build(problem)
    drawn = make_sampling(sampling, of)
    method = make_method(of, drawn, variant, "theorem-3.2", 200, lam=lam)
    assert program_of(of, drawn, method) == program
    fast = run_method(of, drawn, method, steps=200, trials=2, seed=4)
    looped = run_method(of, drawn, method, steps=200, trials=2, seed=4, program=LOOPED)
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
    assert (tmp_path / "solve-ridge-uniform-sam-of_a_file.png").is_file()
