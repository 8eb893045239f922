"""What an experiment says follows its data: on made data it says the opposite, and where one cannot tell, that."""

import numpy as np
import pandas as pd
import pytest

from sambench.benchmarks.theory.experiments import EXPERIMENTS, read_data
from sambench.benchmarks.theory.trend import crossing, trend
from tests.benchmarks.theory.test_experiments import DATA

STEP = np.linspace(0, 100_000, 61)
SHAPES = {
    "falling": np.exp(-STEP / 10_000),
    "slow": np.exp(-STEP / 1e7),
    "hyperbolic": 1 / (1 + STEP / 1_000),
    "settled": np.exp(-STEP / 4_000) + 0.01 * (1 + 0.1 * np.sin(STEP)),
    "flat": 1 + 0.05 * np.sin(7 * STEP),
    "rounding": np.maximum(np.exp(-STEP / 300), 1e-30),
    "rising": np.exp(STEP / 50_000),
    "undecided": 1 / (1 + STEP / 1_000) ** 0.45,
    "diverged": np.where(STEP > 50_000, np.inf, 1.0),
}
KINDS = {"slow": "falling", "hyperbolic": "falling", "flat": "settled", "rounding": "settled"}


def line(shape, **columns):
    parts = [
        pd.DataFrame({"trial": trial, "step": STEP.astype(int), "gap": SHAPES[shape], "relative": SHAPES[shape]})
        for trial in (0, 1)
    ]
    return pd.concat(parts).assign(**columns)


def said(name, *lines):
    return "\n".join(EXPERIMENTS.get(name).findings(pd.concat(lines, ignore_index=True)))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_end_of_a_line(shape):
    assert trend(line(shape)) == KINDS.get(shape, shape)


def test_a_line_of_few_recorded_steps_is_undecided():
    assert trend(line("falling").query("step % 25000 == 0")) == "undecided"
    series = pd.Series([1.0, 1e-3, 1e-6], index=[0, 10, 20])
    assert crossing(series, 1e-4) == pytest.approx(40 / 3)
    assert np.isnan(crossing(series, 1e-7))
    assert np.isnan(crossing(series, 0.1)), "before its third recorded step"


def importance(uniform, weighted):
    return said(
        "importance",
        line(uniform, method="λ = 0", sampling="uniform", gamma=1.0),
        line(weighted, method="λ = 0", sampling="importance", gamma=2.5),
    )


def test_importance_compares_speeds_only_where_lines_still_fall(monkeypatch):
    monkeypatch.setitem(SHAPES, "fast", np.exp(-STEP / 4_000))
    assert "takes 2.50 times as many steps" in importance("falling", "fast")
    assert "takes 0.40 times as many steps" in importance("fast", "falling")
    monkeypatch.setitem(SHAPES, "soon", np.exp(-STEP / 200) + 0.01)
    assert "undecided" in importance("soon", "soon")
    assert "takes 1.00 times as many steps" in importance("settled", "settled")


def decreasing(constant, falling):
    return said(
        "decreasing",
        line(constant, method="λ = 0", steps="constant"),
        line(falling, method="λ = 0", steps="decreasing"),
    )


def test_decreasing_says_which_steps_go_on():
    assert "constant steps: settled (λ = 0); decreasing steps: falling (λ = 0)" in decreasing("settled", "hyperbolic")
    text = decreasing("falling", "settled")
    assert "constant steps: falling (λ = 0); decreasing steps: settled (λ = 0)" in text
    assert "end lower for no λ" in text
    assert "undecided (λ = 0)" in decreasing("undecided", "undecided")


def test_deterministic_says_who_stops():
    normal = said("deterministic", line("falling", method="λ = 0"), line("settled", method="λ = 1"))
    assert "λ = 0 (USAM) still converges" in normal
    assert "They are the lines with λ > 0" in normal
    other = said("deterministic", line("settled", method="λ = 0"), line("falling", method="λ = 1"))
    assert "still converges" not in other
    assert "with λ > 0" not in other
    assert "undecided (λ = 0)" in said("deterministic", line("undecided", method="λ = 0"))
    assert "still converges" not in said("deterministic", line("falling", method="λ = 0.3"))


def test_baselines_says_whether_the_order_changes():
    base = {"a": "falling", "b": "settled"}
    text = said("baselines", *(line(shape, method=name) for name, shape in base.items()))
    assert "falling (a), settled (b)" in text
    assert "the order depends" not in said("baselines", line("falling", method="a"), line("flat", method="b"))


def test_published_importance_says_where_the_unweighted_form_stops(monkeypatch):
    def text(shape, bias):
        names = {"uniform": "falling", "weighted (theory)": "falling", "unweighted (code)": shape}
        return said("published-importance", *(line(s, method="λ = 0", sampling=n, bias=bias) for n, s in names.items()))

    assert "stops there, at" in text("settled", 0.01)
    assert "does not stop there but at" in text("settled", 1e-4)
    assert "undecided" in text("falling", 0.01)
    assert "below the bias" in text("settled", 0.01)
    assert "not below the bias" in text("settled", 1e-9)


def committed(name, **columns):
    return "\n".join(EXPERIMENTS.get(name).findings(read_data(name, DATA).assign(**columns)))


def test_guarantee_says_what_breaks_or_leaves_its_ball():
    data = read_data("guarantee", DATA)
    first = data["method"].iloc[0]
    assert "slower than guaranteed: none" in committed("guarantee")
    assert "stays below the guarantee in 0 of 27" in committed("guarantee", bound=data["gap"] / 2)
    assert f"slower than guaranteed: least-squares, uniform, {first}" in committed("guarantee", factor=1e-9)
    assert "leave it, and prove nothing" in committed("guarantee", reach=1.5)
    assert "No theorem covers" in committed("guarantee", bound=np.nan)


def test_rate_says_when_it_is_slower_faster_or_cannot_tell():
    data = read_data("rate", DATA)
    steps = data["step"].clip(lower=1)
    assert "No slope is significantly above -1" in committed("rate")
    assert "Significantly slower than 1/t" in committed("rate", gap=steps**-0.5 * (1 + data["trial"] / 1e6))
    assert "Undecided" in committed("rate", turn=np.nan)
    assert "inside it at every recorded step after the start in 0 of 20" in committed("rate", bound=data["gap"] / 2)
    assert "does not cover these lines" in committed("rate", bound=np.nan)
    apart = data["gap"] * np.where(data["method"] == "λ = 0", 2, 1)
    assert "λ makes a difference" in committed("rate", gap=apart)


def test_nonconvex_says_what_breaks():
    data = read_data("nonconvex", DATA)
    assert "in 0 of 9 lines" in committed("nonconvex", bound=data["gradient"] / 2)
    assert "some runs leave it" in committed("nonconvex", reach=2.0)
    assert "Undecided" in committed("nonconvex", bound=np.nan)


def test_normalization_reads_its_floors():
    data = read_data("normalization", DATA)
    powers = committed("normalization", relative=data["rho"] ** 2)
    assert "A power of 2 (λ = 0, λ = 0.5, λ = 1)" in powers
    assert "does not move the end of λ = 1" in powers
    assert "A power of 2" not in committed("normalization", relative=data["rho"])
    assert "(diverged)" in committed("normalization", relative=2.0)
    assert "do not interpolate" in committed("normalization", interpolates=False)


def test_neighbourhood_reads_its_powers():
    data = read_data("neighbourhood", DATA)
    assert "it tends to" in committed("neighbourhood")
    assert "it shrinks to nothing" in committed("neighbourhood", gap=data["gamma"])
    assert "undecided" in committed("neighbourhood", gap=data["gamma"] ** 0.5)
    assert "0 are inside it" in committed("neighbourhood", gap=2 * data["bound"].replace(np.inf, 1))


def test_importance_gain_and_variance_read_their_ratios():
    data = read_data("importance-gain", DATA)
    assert "all of it" in committed("importance-gain")
    assert "is not that of the guaranteed step size" in committed("importance-gain", steps=data["steps"].mean())
    assert "Undecided" in committed("importance-gain", steps=np.nan)
    noise = read_data("sampling-variance", DATA)
    assert "larger at 0 of 6" in committed("sampling-variance", variance=1.0 / noise["width"])
    assert "bound holds at 0 of" in committed("sampling-variance", bound=noise["second_moment"] / 2)


def test_a_diverged_line_is_said_and_breaks_nothing():
    assert "diverged (λ = 0)" in decreasing("diverged", "diverged")
    assert "which one falls faster is undecided" in importance("diverged", "settled")
    rate, held = read_data("rate", DATA), read_data("guarantee", DATA)
    late = rate["step"] > rate["step"].max() / 2
    assert "Significantly" not in committed("rate", gap=rate["gap"].where(~late, np.inf), bound=np.nan)
    assert "(diverged)" in committed("guarantee", gap=held["gap"].where(held["step"] == 0, np.inf), bound=np.nan)
