"""Every experiment runs small, draws and reports from its data only; the page is not stale."""

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import sambench.cli.theory as commands
from sambench.benchmarks.theory.experiments import (
    EXPERIMENTS,
    nonconvex,
    read_data,
    run_experiment,
)
from sambench.benchmarks.theory.experiments.guarantee import summary
from sambench.benchmarks.theory.experiments.importance_gain import gains
from sambench.benchmarks.theory.experiments.normalization import floors
from sambench.benchmarks.theory.experiments.rate import slopes
from sambench.benchmarks.theory.figures import save, styled
from sambench.errors import ConfigError, DataError, StateError

ROOT = Path(__file__).parents[3]
DATA = ROOT / "docs" / "figures" / "theory"


HEAVY = {
    "published-pictures", "composites", "games", "bouncing", "floors", "which-sharpness", "last-iterate", "drift",
    "stability",
}  # fmt: skip
FILED = {"minibatch", "importance-gain"}
"""The quickest, whose files are written each time."""


def says(name, data):
    """Check data and what is said of them."""
    assert len(data) > 0
    assert not data.select_dtypes("number").isin([np.inf, -np.inf]).to_numpy().any() or "bound" in data
    findings = EXPERIMENTS.get(name).findings(data)
    assert findings
    assert not any("nan" in text for text in findings)


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS.names() if name not in HEAVY | FILED])
def test_a_small_run_is_drawn_and_told(name):
    """Without the rendering of its figure, which takes most of its time."""
    experiment = EXPERIMENTS.get(name)
    data = experiment.measure(True)
    says(name, data)
    with styled():
        figure = experiment.draw(data)
    assert all(axes.has_data() for axes in figure.axes)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FILED)) for name in EXPERIMENTS.names()]
)
def test_a_small_run_leaves_data_and_figures(name, tmp_path):
    paths = run_experiment(name, tmp_path, quick=True)
    assert [path.suffix for path in paths] == [".parquet", ".png", ".svg"]
    assert all(path.stat().st_size > 0 for path in paths)
    says(name, read_data(name, tmp_path))


@pytest.mark.parametrize("name", ["importance-gain", pytest.param("normalization", marks=pytest.mark.slow)])
def test_the_same_data_gives_the_same_bytes(name, tmp_path):
    data = read_data(name, DATA)
    with styled():
        first = [path.read_bytes() for path in save(EXPERIMENTS.get(name).draw(data), tmp_path / "a")]
        second = [path.read_bytes() for path in save(EXPERIMENTS.get(name).draw(data), tmp_path / "a")]
    assert first == second
    assert b"<dc:date>" not in first[1]


def test_the_page_is_what_its_data_gives(tmp_path):
    page = tmp_path / "theory.md"
    written = CliRunner().invoke(commands.app, ["page", "--out", str(DATA), "--page", str(page)])
    assert written.exit_code == 0
    text = page.read_text().replace(os.path.relpath(DATA, tmp_path), "figures/theory")
    assert text == (ROOT / "docs" / "theory.md").read_text(), (
        "docs/theory.md is stale; CONTRIBUTING.md has the command that writes it"
    )


def test_every_figure_of_the_page_is_there():
    page = (ROOT / "docs" / "theory.md").read_text()
    for name in EXPERIMENTS.names():
        assert f"(figures/theory/{name}.png)" in page
        assert all((DATA / f"{name}.{suffix}").is_file() for suffix in ("png", "svg", "parquet"))


def test_no_line_breaks_its_guarantee():
    table = summary(read_data("guarantee", DATA))
    assert (table["used"] <= 1).all()
    assert (table["speed"].dropna() >= 1).all()
    assert (table["reach"] < 1).all(), "the constants hold on a ball, and the runs must stay in it"
    data = read_data("neighbourhood", DATA)
    assert (data["gap"] <= data["bound"].fillna(np.inf)).all()


def test_gradients_on_functions_that_are_not_convex_stay_below_their_guarantee():
    data = read_data("nonconvex", DATA)
    assert (data["gradient"] <= data["bound"]).all()
    assert (data["reach"] < 1).all(), "the constants hold on a ball, and the runs must stay in it"
    table = nonconvex.summary(data)
    assert table["guaranteed"].between(-0.27, -0.24).all()
    assert (table["measured"] < -0.2).all()


def test_decreasing_steps_have_slope_minus_one():
    table = slopes(read_data("rate", DATA))
    assert ((table["low"] <= -1) & (table["high"] >= -1)).mean() >= 0.9, "95 % intervals that cover -1"
    assert table["slope"].between(-1.2, -0.8).all()


def test_importance_sampling_gains_the_ratio_of_the_constants():
    table = gains(read_data("importance-gain", DATA))
    np.testing.assert_allclose(table.div(table.index, axis=0), 1, atol=0.05)


def test_sam_stops_where_usam_goes_on():
    table = floors(read_data("normalization", DATA))
    assert (table["λ = 0"].dropna() < 1e-20).all()
    sam = table["λ = 1"].dropna()
    assert np.polyfit(np.log(sam.index), np.log(sam), 1)[0] == pytest.approx(2, abs=0.1)


def test_unweighted_importance_sampling_ends_at_its_bias():
    data = read_data("published-importance", DATA)
    assert data["bias"].iloc[0] == pytest.approx(3.2e-3, rel=0.02)
    late = data[(data["sampling"] == "unweighted (code)") & (data["step"] > 0.8 * data["step"].max())]
    assert late.loc[late["method"] == "λ = 0", "relative"].mean() == pytest.approx(data["bias"].iloc[0], rel=0.1)
    fair = data[(data["sampling"] == "weighted (theory)") & (data["step"] == data["step"].max())]
    assert fair["relative"].max() < 0.1 * data["bias"].iloc[0]


def test_slopes_are_recovered_from_data_of_known_slope():
    step = np.geomspace(1, 1e5, 40)
    rng = np.random.default_rng(0)
    lines = [
        pd.DataFrame(
            {
                "case": "c",
                "method": "0",
                "trial": trial,
                "step": step,
                "turn": 5.0,
                "gap": 3 * step**-1.5 * np.exp(0.1 * rng.standard_normal(40)),
            }
        )
        for trial in range(10)
    ]
    (row,) = slopes(pd.concat(lines)).itertuples()
    assert row.low <= -1.5 <= row.high
    assert row.high - row.low < 0.05


def test_the_commands(tmp_path):
    runner = CliRunner()
    made = runner.invoke(commands.app, ["run", "sampling-variance", "--out", str(tmp_path), "--quick"])
    assert made.exit_code == 0
    assert (tmp_path / "sampling-variance.png").is_file()
    refused = runner.invoke(commands.app, ["run", "rat"])
    assert isinstance(refused.exception, ConfigError)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"file: a file stands where a folder is needed.*choose another folder"):
        run_experiment("rate", tmp_path / "file")
    written = CliRunner().invoke(
        commands.app, ["page", "--out", str(DATA), "--page", str(tmp_path / "file" / "page.md")]
    )
    assert isinstance(written.exception, StateError)


def test_a_full_disk_leaves_the_old_data(tmp_path, monkeypatch):
    before = {path: path.read_bytes() for path in run_experiment("sampling-variance", tmp_path, quick=True)}

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StateError, match="no space left"):
        run_experiment("sampling-variance", tmp_path, quick=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_quick_figure(tmp_path):
    assert commands.quick_figure(tmp_path).read_bytes().startswith(b"\x89PNG")


def test_missing_data_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(DataError, match="sambench theory run rate"):
        read_data("rate", tmp_path)
