"""The stored pictures of the authors' notebook, and the findings on them, games and conditions, on made data."""

import numpy as np
import pytest

from sambench.benchmarks.theory.experiments import EXPERIMENTS, conditions, read_data
from sambench.benchmarks.theory.experiments.published_pictures import matches, stored_curves
from tests.benchmarks.theory.test_experiments import DATA
from tests.benchmarks.theory.test_findings import committed


def test_every_stored_curve_is_replayed_to_its_end_by_the_version_whose_constants_it_prints():
    table = matches(read_data("published-pictures", DATA))
    assert len(table) == len(stored_curves())
    assert (table["pixels"] <= 1.5).all()
    by = table.groupby("cell")["version"].unique().map(sorted).to_dict()
    assert by[5] == by[6] == ["theorem-3.2-older"]
    assert by[4] == by[9] == by[10] == ["theorem-3.2-first-terms"]
    assert by[2] == by[8] == ["theorem-3.2"]
    assert by[17] == by[19] == ["theorem-3.2", "theorem-3.2-older"]


def test_another_picture_or_another_constant_would_be_said():
    data = read_data("published-pictures", DATA)
    assert "the replay of 0 of them" in committed("published-pictures", end=data["end"] * 2)
    other = data["end"] * np.where(data["cell"] == 4, 2, 1)
    assert "but not of cell 4, uniform, λ = 0; cell 4, importance" in committed("published-pictures", end=other)
    text = committed("published-pictures", printed_gamma=data["printed_gamma"] * 1.01)
    assert "0 of 30 stored curves" in text
    assert "Undecided: cell 2, full" in text


def test_games_say_what_breaks_and_what_no_theorem_covers():
    data = read_data("games", DATA)
    assert "below the guarantee in 0 of 15" in committed("games", bound=(data["gap"] / 2).where(data["bound"].notna()))
    assert "below the guarantee in 15 of 15" in committed("games")
    assert "slower than guaranteed: bilinear, uniform, extra" in committed("games", gap=1.0)
    at_once = data["gap"].where(data["step"] == 0, 1e-9)
    assert "undecided, for want of recorded steps or of one guaranteed speed: 15" in committed("games", gap=at_once)
    shares = committed("composites", bound=read_data("composites", DATA)["gap"] / 2)
    assert "below the guarantee in 0 of 12" in shares


@pytest.mark.parametrize(("power", "text"), [(0.0, "met"), (2.0, "violated (‖x‖^2.0)"), (0.3, "undecided")])
def test_a_condition_is_judged_by_its_growth(power, text):
    data = read_data("conditions", DATA)
    made = data.assign(variance=data["radius"] ** power, second_moment=1.0, everywhere=True)
    for _, line in made.groupby(["problem", "sampling"]):
        assert conditions.verdict(line, "variance") == text
        assert conditions.verdict(line.assign(everywhere=False), "variance") == "undecided (a ball)"
        assert conditions.verdict(line.assign(excess=1.1), "excess") == "violated"


def test_the_conditions_of_the_page():
    data = read_data("conditions", DATA)
    assert (data.groupby(["problem", "sampling"])["points"].sum() >= 2_000).all()
    assert (data["excess"] <= 1 + 1e-9).all()
    exact = data[(data["sampling"] == "full")]
    np.testing.assert_allclose(exact["variance"] / exact["second_moment"], 0, atol=1e-9)
    assert "Expected Residual: 24" in "\n".join(EXPERIMENTS.get("conditions").findings(data))
