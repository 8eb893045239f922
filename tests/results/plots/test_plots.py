"""Figures: correct numbers, no overlapping labels, the same bytes for the same records."""

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
from synthetic import build_trial

from sambench.errors import ConfigError, StateError
from sambench.results import plots
from sambench.results.plots import draw
from sambench.results.plots.critical_difference import rank_figure
from sambench.results.plots.error_and_cost import cost_figure, costs_differ, error_figure
from sambench.results.plots.heatmap import grids, heat_map
from sambench.results.plots.learning_curves import curves, mean_curves
from sambench.results.plots.performance_profile import profile_figure, profiles
from sambench.results.plots.probability_of_improvement import win_figure, win_matrix
from sambench.results.plots.style import LIGHT, clusters, new_figure, spread, style, write_title
from sambench.results.plots.tuning_curve import tuning_curves
from sambench.results.records.manifest import SuiteManifest, Track, Tuning
from sambench.results.records.record import RunRecord
from sambench.results.records.trials import Trial
from sambench.results.statistics.intervals import t_interval
from sambench.results.tables.boards import Boards, assemble
from sambench.results.tables.rows import Row
from sambench.results.tables.workload_table import summarize

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


def paint(records: list[RunRecord], folder: Path) -> list[Path]:
    return draw(assemble(records), records, folder)


def rows(records: list[RunRecord]) -> tuple[Row, ...]:
    return summarize(records)[0].rows


def shown_labels(figure: Figure) -> list[Annotation]:
    figure.draw_without_rendering()
    return [text for axes in figure.axes for text in axes.texts if isinstance(text, Annotation)]


def test_draw_writes_every_figure_of_every_workload(tmp_path: Path, make_record: Make) -> None:
    records = board(make_record, 2) + board(make_record, 1, noise=0.2) + [make_record(split="search")]
    paths = paint(records, tmp_path / "figures")
    kinds = ("error", "curves-epoch", "curves-gradient_evaluations")
    first = ["error", "cost", *kinds[1:], "wins"]
    expected = [f"digits-wrn10_1-noise=0-{kind}.{suffix}" for kind in first for suffix in ("png", "svg")]
    expected += [f"digits-wrn10_1-noise=0.2-{kind}.{suffix}" for kind in kinds for suffix in ("png", "svg")]
    assert [path.name for path in paths] == expected
    assert all(path.stat().st_size > 5000 for path in paths)


def test_the_same_records_give_the_same_bytes(tmp_path: Path, make_record: Make) -> None:
    records = board(make_record, 3)
    first = paint(records, tmp_path / "a")
    random.Random(0).shuffle(records)
    second = paint(records, tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert "<dc:date>" not in first[1].read_text()
    assert b"Software" not in first[0].read_bytes()


def of_suites(make_record: Make) -> tuple[Boards, list[RunRecord]]:
    made = {"one": grid_records(make_record), "two": board(make_record, 2, noise=0.2)}
    manifests = [
        SuiteManifest(
            name=name,
            title="T",
            description="D",
            command="c",
            seeds=(0, 1, 2),
            tracks=(),
            untracked=tuple(r.run_id for r in runs),
        )
        for name, runs in made.items()
    ]
    records = [record for runs in made.values() for record in runs]
    return assemble(records, manifests), records


def test_kinds_and_suites_are_chosen(tmp_path: Path, make_record: Make) -> None:
    boards, records = of_suites(make_record)

    def names(**chosen: object) -> list[str]:
        return [path.name for path in draw(boards, records, tmp_path, **chosen) if path.suffix == ".svg"]

    assert names(kinds=["grid"]) == ["one-unified_sam-grid.svg"]
    assert names(suites=["two"], kinds=["wins", "error"]) == ["two-error.svg", "two-wins.svg"]
    with pytest.raises(ConfigError, match="unknown kind of figure 'gird'; did you mean 'grid'"):
        names(kinds=["gird"])
    with pytest.raises(ConfigError, match=r"unknown suite of these results 'three'.* Valid: one, two"):
        names(suites=["three"])
    with pytest.raises(
        StateError, match="no figure of these kinds: grid is a heat map, where a variant ran over a grid"
    ):
        names(suites=["two"], kinds=["grid"])


def test_processes_draw_the_same_and_tell_how_far_they_are(tmp_path: Path, make_record: Make) -> None:
    boards, records = of_suites(make_record)
    told: list[tuple[int, int]] = []
    chosen = {"kinds": ["grid", "wins"]}
    alone = draw(boards, records, tmp_path / "a", **chosen)
    together = draw(boards, records, tmp_path / "b", **chosen, workers=2, listen=lambda *one: told.append(one))
    assert told == [(1, 2), (2, 2)]
    assert [path.name for path in alone] == [path.name for path in together]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(alone, together, strict=True))
    (tmp_path / "c" / together[0].name).mkdir(parents=True)
    with pytest.raises(StateError, match="cannot write"):
        draw(boards, records, tmp_path / "c", **chosen, workers=2)


def test_global_state_is_unchanged(make_record: Make) -> None:
    before = dict(mpl.rcParams)
    curves(board(make_record, 2), "digits")
    cost_figure(rows(board(make_record, 2)), "digits")
    error_figure(rows(board(make_record, 2)), "digits")
    win_figure(rows(board(make_record, 2)), "digits")
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


def test_many_methods_get_a_plot_each(make_record: Make) -> None:
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
    figure = cost_figure(rows(board(make_record, variants)), "digits")
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


def test_points_have_labels_with_details(make_record: Make) -> None:
    records = [*board(make_record, 2), make_record(variant="once", hyper={}, accuracy=0.95)]
    records += [make_record(variant="wild", hyper={}, seed=seed, accuracy=0.95) for seed in range(2)]
    records += [make_record(variant="wild", hyper={}, seed=2, status="diverged")]
    texts = {text.get_text() for text in shown_labels(cost_figure(rows(records), "digits"))}
    assert texts == {"variant_0", "variant_1", "once [n = 1]", "wild [33.3 %, 1/3 diverged]"}


def test_a_store_without_runs_is_refused(tmp_path: Path, make_record: Make) -> None:
    with pytest.raises(StateError, match="no finished run to draw; train some with `sambench quickstart`"):
        paint([make_record(status="failed"), make_record(split="search")], tmp_path)
    with pytest.raises(ConfigError, match="no run of this workload completed"):
        curves([make_record(status="diverged")], "digits")


def test_a_workload_with_only_diverged_runs_has_no_figure(tmp_path: Path, make_record: Make) -> None:
    diverged = [make_record(status="diverged", seed=seed) for seed in range(2)]
    assert len(paint([*diverged, make_record(noise=0.2)], tmp_path)) == 6
    with pytest.raises(StateError, match="no finished run to draw"):
        paint(diverged, tmp_path)
    with pytest.raises(ConfigError, match="no points to draw"):
        error_figure(rows(diverged), "digits")
    with pytest.raises(ConfigError, match="no points to draw"):
        cost_figure(rows(diverged), "digits")


@pytest.mark.parametrize("seed", range(5))
def test_spread_keeps_order_and_distance_and_moves_little(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = rng.random(8)
    placed = spread(wanted, 0.08, 0, 1)
    assert (np.argsort(placed) == np.argsort(wanted)).all()
    assert np.diff(np.sort(placed)).min() >= 0.08 - 1e-12
    assert placed.min() >= 0
    assert placed.max() <= 1 + 1e-12
    for _ in range(200):  # no feasible neighbour is closer to the wanted positions
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


def test_errors_are_drawn_in_order_with_their_costs(make_record: Make) -> None:
    records = [*board(make_record, 3), make_record(variant="once", hyper={}, accuracy=0.95)]
    records += [make_record(variant="wild", hyper={}, seed=seed, accuracy=0.95) for seed in range(2)]
    records += [make_record(variant="wild", hyper={}, seed=2, status="diverged")]
    found = rows(records)
    figure = error_figure(found, "digits")
    errors, costs = figure.axes
    named = [text.get_text().split("  ")[0] for text in errors.get_yticklabels()]
    assert named == [
        f"wild [{100 * row.error:.1f} %, 1/3 diverged]"
        if row.label == "wild"
        else row.label.replace("once", "once [n = 1]")
        for row in found
    ]
    assert [line.get_xdata()[0] for line in costs.lines] == [row.gradient_evaluations for row in found]
    assert errors.get_ylim()[0] > errors.get_ylim()[1]  # the best is on top


@pytest.mark.parametrize("draw", [error_figure, cost_figure])
def test_a_row_far_from_all_others_does_not_hide_their_differences(
    draw: Callable[..., Figure], make_record: Make
) -> None:
    """It stands at the edge with its error; where many are far, or it is no further than the others are apart, it does
    not."""

    def high(*errors: float) -> float:
        records = [
            make_record(variant=f"variant_{i}", hyper={}, seed=seed, accuracy=1 - error / 100 + seed / 10_000)
            for i, error in enumerate(errors)
            for seed in range(3)
        ]
        axes = draw(rows(records), "digits").axes[0]
        return (axes.get_xlim() if draw is error_figure else axes.get_ylim())[1]

    assert high(3, 3.5, 4, 30) < 6
    assert high(0, 0, 0, 30) < 1
    assert high(3, 3.5, 4, 4.5) > 4.5
    assert high(3, 5, 8, 12) > 12
    assert high(3, 3.5, 30, 31) > 31
    assert high(3, 30) > 30


def test_errors_are_drawn_against_costs_only_where_these_differ(make_record: Make) -> None:
    assert not costs_differ(rows([make_record(variant=name, hyper={}, gradients=2.0) for name in "abc"]))
    assert costs_differ(
        rows([make_record(variant=name, hyper={}, gradients=1.0 + 0.1 * i) for i, name in enumerate("abc")])
    )


def test_wins_are_the_share_of_pairs(make_record: Make) -> None:
    found = rows(
        [make_record(variant="a", hyper={}, seed=s, accuracy=v) for s, v in enumerate((0.9, 0.92))]
        + [make_record(variant="b", hyper={}, seed=s, accuracy=v) for s, v in enumerate((0.91, 0.94))]
    )
    assert [row.label for row in found] == ["b", "a"]
    wins = win_matrix(found)
    assert wins[0, 1] == 0.75
    assert wins[1, 0] == 0.25
    assert np.isnan(np.diag(wins)).all()
    with pytest.raises(ConfigError, match="two methods with at least three runs"):
        win_figure(rows([make_record(variant=name, hyper={}) for name in "ab"]), "digits")


def test_pairs_that_are_not_told_apart_are_grey(make_record: Make) -> None:
    levels = {"a": 0.95, "b": 0.949, "c": 0.80}
    found = rows(
        [make_record(variant=v, hyper={}, seed=s, accuracy=x + 0.005 * s) for v, x in levels.items() for s in range(3)]
    )
    assert [row.group for row in found] == ["a", "a", "b"]
    axes = win_figure(found, "digits").axes[0]
    axes.figure.draw_without_rendering()
    grey, colored = (mesh.get_array().reshape(3, 3) for mesh in axes.collections[::2])
    assert (~grey.mask).tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    assert (~colored.mask).tolist() == [[False, False, True], [False, False, True], [True, True, False]]
    assert [len(texts.get_paths()) for texts in axes.collections[1::2]] == [2, 4]
    assert {mpl.colors.to_hex(color) for color in axes.collections[0].get_facecolors()[[1, 3]]} == {LIGHT}


def grid_records(make_record: Make) -> list[RunRecord]:
    return [
        make_record(variant="unified_sam", hyper={"rho": rho, "lam": lam}, accuracy=0.9 + rho / 10, seed=seed)
        for rho in (0.1, 0.2)
        for lam in (0.0, 0.5, "1-1/t")
        for seed in range(2)
    ]


def test_a_grid_of_two_hyper_parameters_is_found_and_ordered(make_record: Make) -> None:
    (grid,) = grids(rows([*grid_records(make_record), make_record(variant="sgd")]))
    assert grid[:4] == ("unified_sam", ("rho", "lam"), ("0.1", "0.2"), ("0", "0.5", "1-1/t"))
    assert grid.errors == pytest.approx(np.array([[9.0] * 3, [8.0] * 3]), abs=0.13)
    figure = heat_map(grid, "digits", "mean")
    assert len(figure.axes[0].collections[1].get_paths()) == 6
    assert figure.axes[0].get_ylabel() == "rho"


def test_a_third_hyper_parameter_parts_the_grids(make_record: Make) -> None:
    def at(rho: float, lam: float | str, clock: str) -> RunRecord:
        return make_record(variant="unified_sam", hyper={"rho": rho, "lam": lam, "lam_clock": clock})

    lams = (0.0, 0.5, 1.0, "1/t", "1-1/t")
    records = [at(rho, lam, "step") for rho in (0.1, 0.2) for lam in lams]
    records += [at(rho, lam, "epoch") for rho in (0.1, 0.2) for lam in lams[3:]]
    epoch, step = grids(rows(records))
    assert (epoch.name, step.name) == ("unified_sam, lam_clock=epoch", "unified_sam, lam_clock=step")
    assert (epoch.across, step.across) == (("1-1/t", "1/t"), ("0", "0.5", "1", "1-1/t", "1/t"))
    assert epoch.down == step.down == ("0.1", "0.2")


def test_rows_with_gaps_are_no_grid(make_record: Make) -> None:
    records = [r for r in grid_records(make_record) if r.spec["hyper"] != {"rho": 0.2, "lam": 0.5}]
    assert grids(rows(records)) == []
    assert grids(rows([make_record(variant="sam", hyper={"rho": rho}) for rho in (0.1, 0.2)])) == []


def test_rows_of_one_variant_with_different_hyper_parameters_are_no_grid(make_record: Make) -> None:
    table = make_record(variant="is_sam", sampler="importance", hyper={"rho": 0.1, "refresh": 1})
    presampled = make_record(variant="is_sam", sampler="presample", hyper={"rho": 0.1, "presample": 3})
    assert grids(rows([table, presampled])) == []


def test_profiles_are_over_the_methods_that_every_workload_has(make_record: Make) -> None:
    tables = [
        rows(board(make_record, 3)),
        rows([*board(make_record, 3, noise=0.2), make_record(noise=0.2, variant="x")]),
    ]
    found = profiles(tables)
    assert sorted(profile.label for profile in found) == ["variant_0", "variant_1", "variant_2"]
    assert all((np.diff(profile.shares) >= 0).all() and profile.shares[-1] == 1 for profile in found)
    assert [line.get_label() for line in profile_figure(tables, "G").axes[0].lines] == [p.label for p in found]
    with pytest.raises(ConfigError, match="ran on every workload"):
        profiles([tables[0], rows(board(make_record, 1))])


def trials() -> list[Trial]:
    made = [build_trial("sam", number, accuracy=value) for number, value in enumerate((0.90, 0.94, 0.92))]
    made += [build_trial("sgd", number, accuracy=value) for number, value in enumerate((0.91, None, 0.89))]
    return [*made, build_trial("sam", 1, "confirm", 1001, accuracy=0.99)]


def test_tuning_curves_are_means_over_subsets_of_the_screening(make_record: Make) -> None:
    sam, sgd = tuning_curves(trials())
    assert (sam.label, sgd.label) == ("sam", "sgd")
    assert sam.mean == pytest.approx([8.0, 100 - 100 * (0.94 + 0.94 + 0.92) / 3, 6.0])
    assert sgd.mean[0] == pytest.approx(100 - 100 * (0.91 + 0.89) / 3)  # the failed trial counts
    assert sgd.mean[-1] == pytest.approx(9.0)


def test_ranks_need_six_workloads() -> None:
    scores = np.random.default_rng(0).normal([0, 1, 2], 0.1, (7, 3))
    texts = [text.get_text() for text in rank_figure(scores, "abc", "G").axes[0].texts]
    assert [text.strip() for text in texts if "." in text] == ["c  1.00", "b  2.00", "3.00  a"]
    with pytest.raises(ConfigError, match="at least 6 workloads"):
        rank_figure(scores[:5], "abc", "G")


def test_a_suite_gets_its_figures_under_its_name(
    tmp_path: Path, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "save", lambda figure, stem: (stem,))  # drawn, but not written, which takes long
    workloads = [
        [
            make_record(variant=v, hyper={}, gradients=2.0, noise=noise, seed=s, accuracy=0.9 + 0.01 * s)
            for v in "ab"
            for s in (0, 1, 2)
        ]
        for noise in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    manifests = [
        SuiteManifest(
            name=f"s{i}", title="S", description="", command="c", seeds=(0, 1),
            tracks=(Track(name="G", budget=8, runs=tuple(record.run_id for record in runs)),),
            tuning=Tuning(ledger="l", sha256="0" * 64) if i == 0 else None,
        )
        for i, runs in enumerate(workloads)
    ]  # fmt: skip
    records = [record for runs in workloads for record in runs]
    paths = draw(assemble(records, manifests, {"l": trials()}), records, tmp_path)
    kinds = ("error", "curves-gradient_evaluations", "wins")
    expected = {f"s{i}-G-{kind}" for i in range(6) for kind in kinds} | {"s0-G-tuning", "profile-G", "ranks-G"}
    assert {path.name for path in paths} == expected


def test_no_two_tables_write_the_same_figure(
    tmp_path: Path, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "save", lambda figure, stem: (stem,))
    records = board(make_record, 3)
    listed = [record.run_id for record in records if record.spec["variant"] == records[0].spec["variant"]]
    quick = SuiteManifest(
        name="quick", title="S", description="", command="c", seeds=(0, 1, 2), tracks=(), untracked=tuple(listed)
    )  # fmt: skip
    paths = draw(assemble(records, [quick]), records, tmp_path)
    assert len(set(paths)) == len(paths)
    assert {path.name for path in paths} > {"quick-error", "digits-wrn10_1-error"}


def test_intervals_are_cut_off_at_0_and_100_percent(make_record: Make) -> None:
    records = [make_record(seed=seed, accuracy=accuracy) for seed, accuracy in enumerate((0.97, 0.98, 1.0))]
    (row,) = summarize(records)[0].rows
    assert row.high > 1.0
    axes = cost_figure([row], "digits").axes[0]
    (bars,) = axes.collections
    ends = bars.get_segments()[0][:, 1]
    assert ends.min() == 0.0
    assert ends.max() == pytest.approx(100 * (1 - row.low))
    assert "cut off at 0 and 100 %" in axes.get_title("left")


def test_the_legend_of_errors_ends_before_the_figure_does(make_record: Make) -> None:
    records = board(make_record, 4) + [
        make_record(variant="unified_sam_with_more", hyper={"lam": lam, "rho": 0.1}, seed=s)
        for lam in (0.5, "1-1/t")
        for s in (0, 1)
    ]
    figure = error_figure(rows(records), "digits")
    figure.canvas.draw()
    (legend,) = (text for text in figure.findobj(Text) if "t-interval" in text.get_text())
    assert legend.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize("methods", [2, 12])
def test_runs_of_one_epoch_are_drawn_as_points(make_record: Make, methods: int) -> None:
    records = [make_record(variant=f"v{i}", hyper={}, epochs=1, seed=s) for i in range(methods) for s in (0, 1)]
    figure = curves(records, "digits", "epoch")
    markers = [line.get_marker() for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == 1]
    assert markers.count("o") == methods


@pytest.mark.parametrize("width", [4.3, 7.4, 11])
@pytest.mark.parametrize("word", ["WRN-10-1", "batch_size=128", "x" * 90])
def test_a_long_title_stays_within_its_figure(width: float, word: str) -> None:
    with style():
        figure = new_figure(width, 4)
        figure.add_subplot()
        write_title(figure, " ".join([word] * (160 // len(word))))
        figure.canvas.draw()
        (title,) = (text for text in figure.findobj(Text) if word[:4] in text.get_text())
        assert title.get_window_extent().x1 <= figure.bbox.x1
