"""Figures: the numbers are right, no label covers another, the same records give the same bytes."""

import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from sambench.errors import ConfigError, StateError
from sambench.results.figures import spread
from sambench.results.plots import accuracy, clusters, curves, draw, mean_curves
from sambench.results.record import RunRecord
from sambench.results.statistics import t_interval
from sambench.results.summary import summarize

Make = Callable[..., RunRecord]


def board(make_record: Make, variants: int, seeds: int = 3, **spec: object) -> list[RunRecord]:
    rng = np.random.default_rng(variants)
    return [
        make_record(
            variant=f"variant_{i}",
            hyper={},
            seed=seed,
            gradients=(1.0, 2.0, 2.0, 2.0)[i % 4],
            accuracy=float(rng.normal(0.95, 0.003)),
            count=10_000,
            epochs=5,
            **spec,
        )
        for i in range(variants)
        for seed in range(seeds)
    ]


def shown_labels(figure: Figure) -> list[Annotation]:
    figure.draw_without_rendering()
    return [text for axes in figure.axes for text in axes.texts if isinstance(text, Annotation)]


def test_draw_writes_every_figure_of_every_workload(tmp_path: Path, make_record: Make) -> None:
    records = board(make_record, 2) + board(make_record, 1, noise=0.2) + [make_record(split="search")]
    paths = draw(records, tmp_path / "figures")
    names = [f"digits-wrn10_1-noise={noise}" for noise in ("0", "0.2")]
    kinds = ("accuracy", "curves-epoch", "curves-gradient_evaluations")
    expected = [f"{name}-{kind}.{suffix}" for name in names for kind in kinds for suffix in ("png", "svg")]
    assert [path.name for path in paths] == expected
    assert all(path.stat().st_size > 5000 for path in paths)


def test_the_same_records_give_the_same_bytes(tmp_path: Path, make_record: Make) -> None:
    records = board(make_record, 3)
    first = draw(records, tmp_path / "a")
    random.Random(0).shuffle(records)
    second = draw(records, tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert "<dc:date>" not in first[1].read_text()
    assert b"Software" not in first[0].read_bytes()


def test_global_state_is_left_alone(make_record: Make) -> None:
    before = dict(mpl.rcParams)
    curves(board(make_record, 2), "digits")
    accuracy(summarize(board(make_record, 2))[0])
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


@pytest.mark.parametrize("validated", [True, False])
def test_mean_curves_are_t_intervals_over_runs(make_record: Make, validated: bool) -> None:
    records = [make_record(seed=seed, split="holdout") for seed in range(4)]
    (curve,) = mean_curves(records, "gradient_evaluations", validated)
    assert curve.label == "sam"
    assert curve.x.tolist() == [22, 44, 66, 88]
    for i in range(4):
        points = [record.curve[i] for record in records]
        values = [100 * (1 - (p.validation_accuracy or 0)) if validated else p.train_loss or 0 for p in points]
        assert (curve.mean[i], curve.low[i], curve.high[i]) == pytest.approx(t_interval(values))


def test_a_single_run_has_a_curve_without_a_band(make_record: Make) -> None:
    (curve,) = mean_curves([make_record()], "epoch", False)
    assert curve.x.tolist() == [1, 2, 3, 4]
    assert curve.low.tolist() == curve.mean.tolist() == curve.high.tolist()


def test_curves_are_errors_where_every_run_was_validated(make_record: Make) -> None:
    validated, not_validated = make_record(split="holdout"), make_record(seed=1)
    assert curves([validated], "digits").axes[0].get_ylabel() == "Validation error, %"
    assert curves([validated, not_validated], "digits").axes[0].get_ylabel() == "Training loss, nats"


def test_many_methods_get_a_picture_each(make_record: Make) -> None:
    assert len(curves(board(make_record, 6), "digits").axes) == 1
    figure = curves(board(make_record, 7), "digits", "epoch")
    assert len(figure.axes) == 7
    assert [axes.get_title("left").partition(":")[0] for axes in figure.axes] == [
        curve.label for curve in mean_curves(board(make_record, 7), "epoch", False)
    ]


def test_a_perfect_score_does_not_break_the_logarithm(make_record: Make) -> None:
    record = make_record(split="holdout")
    perfect = [point.model_copy(update={"validation_accuracy": 1.0}) for point in record.curve]
    figure = curves([record.model_copy(update={"curve": tuple(perfect)})], "digits")
    figure.draw_without_rendering()
    assert figure.axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("variants", [1, 3, 12, 20])
def test_no_label_covers_another(make_record: Make, variants: int) -> None:
    figure = accuracy(summarize(board(make_record, variants))[0])
    found = shown_labels(figure)
    assert sorted(text.get_text() for text in found) == sorted(f"variant_{i}" for i in range(variants))
    boxes = [Text.get_window_extent(text) for text in found]  # an annotation adds its leader line
    inside = figure.bbox
    for box in boxes:
        assert box.x0 >= inside.x0
        assert box.x1 <= inside.x1
    for one, other in combinations(boxes, 2):
        overlap = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert overlap < 0.15 * one.height or one.x1 < other.x0 or other.x1 < one.x0


def test_points_say_what_they_are(make_record: Make) -> None:
    records = [*board(make_record, 2), make_record(variant="once", hyper={}, accuracy=0.95)]
    records += [make_record(variant="wild", hyper={}, seed=seed, accuracy=0.95) for seed in range(2)]
    records += [make_record(variant="wild", hyper={}, seed=2, status="diverged")]
    texts = {text.get_text() for text in shown_labels(accuracy(summarize(records)[0]))}
    assert texts == {"variant_0", "variant_1", "once [n = 1]", "wild [66.7 %, 1/3 diverged]"}


def test_nothing_to_draw(tmp_path: Path, make_record: Make) -> None:
    with pytest.raises(StateError, match="no finished run to draw; train some with `sambench quickstart`"):
        draw([make_record(status="failed"), make_record(split="search")], tmp_path)
    with pytest.raises(ConfigError, match="no run of this workload completed"):
        curves([make_record(status="diverged")], "digits")


def test_a_workload_that_only_diverged_has_no_picture(tmp_path: Path, make_record: Make) -> None:
    diverged = [make_record(status="diverged", seed=seed) for seed in range(2)]
    assert len(draw([*diverged, make_record(noise=0.2)], tmp_path)) == 6
    with pytest.raises(StateError, match="no finished run to draw"):
        draw(diverged, tmp_path)
    with pytest.raises(ConfigError, match="no points to draw"):
        accuracy(summarize(diverged)[0])


@pytest.mark.parametrize("seed", range(5))
def test_spread_keeps_order_and_distance_and_moves_little(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = rng.random(8)
    placed = spread(wanted, 0.08, 0, 1)
    assert (np.argsort(placed) == np.argsort(wanted)).all()
    assert np.diff(np.sort(placed)).min() >= 0.08 - 1e-12
    assert placed.min() >= 0
    assert placed.max() <= 1 + 1e-12
    for _ in range(200):  # no feasible neighbour is closer to what was wanted
        other = placed + rng.normal(0, 0.01, 8)
        if np.diff(other[np.argsort(wanted)]).min() >= 0.08 and other.min() >= 0 and other.max() <= 1:
            assert ((other - wanted) ** 2).sum() >= ((placed - wanted) ** 2).sum()


def test_spread_without_room() -> None:
    assert spread([0.5] * 5, 0.5, 0, 1).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert spread([2.0], 0.5, 0, 1).tolist() == [1]


def test_clusters() -> None:
    assert clusters([]) == []
    assert clusters([5, 5, 5]) == [[0, 1, 2]]
    assert clusters([1, 2, 4]) == [[0], [1], [2]]
