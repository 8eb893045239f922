"""Where is searched: every variant declares it, and a value at the edge is named."""

from itertools import product

import pytest
from torch import nn

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.entries import ResolvedTrack, expand_entries
from sambench.benchmarks.suites.tracks import budget_of
from sambench.benchmarks.suites.tuning_budget import SHARED, Budget
from sambench.benchmarks.tuning.search import TunedEntry, point_tried
from sambench.benchmarks.tuning.space import Axis, axis_of, point_of, space_of, values_at
from sambench.benchmarks.tuning.strategies import Halton
from sambench.hyper import Hyper, resolve
from sambench.variants import AVERAGES, HOOKS, create, list_variants

BUDGET = Budget(trials=4)
INFOS = list_variants()


def entry(**fields):
    return next(expand_entries([fields], {}))


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_variant_says_where_to_search_and_all_of_it_is_valid(info):
    axes = space_of(entry(variant=info.name), BUDGET)
    assert [axis.name for axis in axes[:2]] == list(SHARED)
    assert len(axes) > 2 or not info.hyper
    for share in (0.0, 0.3, 0.999):
        settings = values_at(axes, {axis.name: axis.at(share) for axis in axes}, {})
        shared = {name: settings.pop(name) for name in SHARED}
        spec = make_spec({"variant": info.name, **shared, "hyper": settings})
        assert {name: spec.hyper[name] for name in settings} == settings


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_corner_of_the_space_makes_an_optimizer(info):
    """Values that are valid one by one are valid together."""
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    others = {**HOOKS.get(info.hook).hyper, **AVERAGES.get(info.average).hyper}
    axes = [axis for axis in space_of(entry(variant=info.name), BUDGET) if axis.name in {**info.hyper, "lr": None}]
    for shares in product((0.0, 0.999), repeat=len(axes)):
        point = {axis.name: axis.at(share) for axis, share in zip(axes, shares, strict=True)}
        values = values_at(axes, point, {})
        create(info.name, model, momentum=0.9, **{key: v for key, v in values.items() if key not in others})
        resolve(info.name, others, {key: v for key, v in values.items() if key in others})


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_published_settings_lie_in_the_space(info):
    """With the switches that were in force: what a setting leaves out has its default."""
    defaults = {name: hyper.default for name, hyper in info.hyper.items()}
    axes = [axis for axis in space_of(entry(variant=info.name), BUDGET) if axis.name in info.hyper]
    for setting in [*info.defaults.values(), *(one.hyper for one in info.published)]:
        resolve(info.name, info.hyper, setting)
        point = point_of(axes, {**defaults, **setting})
        outside = {
            axis.name: setting[axis.name] for axis in axes if axis.name in setting and not axis.holds(point[axis.name])
        }
        assert not outside, f"{outside} lie outside of the range that is searched"


def test_share_is_one_of_what_is_searched_or_fixed():
    axes = space_of(entry(variant="gsam"), BUDGET)
    point = {axis.name: axis.at(0.5) for axis in axes}
    values = values_at(axes, point, {})
    assert values["rho_min"] == pytest.approx(0.5 * values["rho"], rel=1e-3)
    assert point_of(axes, values)["rho_min"] == pytest.approx(0.5, rel=1e-3)
    fixed = space_of(entry(variant="gsam", rho=0.123456), BUDGET)
    top = {axis.name: axis.at(0.99999) for axis in fixed}
    assert values_at(fixed, top, {"rho": 0.123456})["rho_min"] <= 0.123456
    assert point_of(axes, {**values, "rho": 0.0, "rho_min": 0.0})["rho_min"] == 0.0


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_trial_n_has_the_same_learning_rate_and_decay_for_every_variant(info):
    def shared(name):
        axes = space_of(entry(variant=name), BUDGET)
        return [[Halton(3).propose(axes, number, [])[key] for key in SHARED] for number in (1, 2, 3)]

    assert shared(info.name) == shared("sgd")


def test_halton_points_fill_every_axis_evenly():
    axes = (Axis("a", 0, 1, "linear"), Axis("b", 0, 1, "linear"))
    points = [Halton(36).propose(axes, number, []) for number in range(1, 37)]
    for name, base in (("a", 2), ("b", 3)):
        counts = [sum(int(point[name] * base) == part for point in points) for part in range(base)]
        assert counts == [36 // base] * base


@pytest.mark.parametrize("track", ["E", "G"])
@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_a_strategy_is_told_the_point_that_was_tried(info, track):
    """The share of epochs, too, where what a setting costs decides how many there are to share."""
    budget = Budget(trials=4, epochs=(0.1, 1.0))
    one = entry(variant=info.name, epochs=10_000, warmup_epochs=0)
    who = TunedEntry(one, ResolvedTrack(track, budget_of(track, 10_000), ()))
    axes = space_of(one, budget)
    for number in range(1, 5):
        point = Halton(5).propose(axes, number, [])
        found = point_tried(who, who.spec(values_at(axes, point, {}), 0), axes)
        for axis in axes:
            value = point[axis.name]
            assert found[axis.name] == (value if isinstance(value, str) else pytest.approx(value, rel=0.01)), axis.name


def test_a_range_of_whole_numbers_proposes_whole_ones():
    declared = {"k": Hyper(4, "a count", low=1, search=(2, 9, "log")), "c": Hyper(0.5, "", search=(0.1, 1.0, "linear"))}
    axes = tuple(axis_of(name, one) for name, one in declared.items())
    settings = [values_at(axes, {axis.name: axis.at(share / 50) for axis in axes}, {}) for share in range(50)]
    assert {one["k"] for one in settings} == set(range(2, 10))
    for one in settings:
        assert resolve("mine", declared, one) == one


def test_what_an_entry_fixes_is_not_searched():
    names = [axis.name for axis in space_of(entry(variant="unified_sam", lam=0.5), BUDGET)]
    assert names == [*SHARED, "rho"]


@pytest.mark.parametrize(
    ("axis", "value", "edge"),
    [
        (Axis("x", 0.01, 1.0, "log"), 0.012, "low"),
        (Axis("x", 0.01, 1.0, "log"), 0.02, ""),
        (Axis("x", 0.01, 1.0, "log"), 5.0, "high"),
        (Axis("x", 0.01, 1.0, "log"), 0.0, "low"),
        (Axis("x", 0.01, 1.0, "log", limits=(0.0, None)), 0.0, ""),
        (Axis("x", 0.0, 1.0, "linear"), 0.95, "high"),
        (Axis("x", 0.0, 1.0, "linear"), 0.9, "high"),
        (Axis("x", 0.0, 1.0, "linear"), 0.1, "low"),
        (Axis("x", 0.0, 1.0, "linear"), 0.11, ""),
        (Axis("x", 1.0, 3.0, "linear"), 1.1, "low"),
        (Axis("x", 1.0, 3.0, "linear"), 1.3, ""),
        (Axis("x", 1.0, 3.0, "linear"), 2.9, "high"),
        (Axis("x", values=(2, 5, 10)), 2, "low"),
        (Axis("x", 0.0, 1.0, "linear", limits=(0.0, 1.0)), 1.0, ""),
        (Axis("x", values=(2, 5, 10)), 10, "high"),
        (Axis("x", values=(2, 5, 10)), 5, ""),
        (Axis("x", values=(0.5, 0.75, 1.0), limits=(0.0, 1.0)), 1.0, ""),
        (Axis("x", values=(0.0, 1.0, "1/t")), "1/t", ""),
        (Axis("x", values=(True, False)), True, ""),
    ],
)
def test_the_edge_of_a_range_is_where_a_better_value_may_lie_beyond(axis, value, edge):
    assert axis.edge(value) == edge


@pytest.mark.parametrize(
    ("axis", "settings"),
    [
        (Axis("x", 0.01, 1.0, "log"), [0.01, 0.1, 0.9954]),
        (Axis("x", 1.0, 3.0, "linear"), [1.0, 2.0, 2.998]),
        (Axis("x", values=(2, 5, 10)), [2, 5, 10]),
    ],
)
def test_an_axis_is_walked_from_its_lower_end_to_its_upper(axis, settings):
    assert [axis.at(share) for share in (0.0, 0.5, 0.999)] == settings
    assert all(map(axis.holds, settings))
    if not axis.values:
        assert [axis.share(number) for number in settings] == pytest.approx([0.0, 0.5, 0.999], abs=1e-4)


@pytest.mark.parametrize(
    ("axis", "inside", "outside"),
    [
        (Axis("x", 0.01, 1.0, "log"), [0.01, 0.5, 1.0], [0.0099, 1.01, "0.5"]),
        (Axis("x", values=(0, 1, "1/t")), [0, 1, "1/t"], [0.5, 2, "t"]),
    ],
)
def test_an_axis_holds_its_ends_and_nothing_beyond_them(axis, inside, outside):
    assert all(map(axis.holds, inside))
    assert not any(map(axis.holds, outside))


def test_a_range_ends_where_no_further_number_is_valid():
    """Rates are not negative, shares of epochs and of another hyper-parameter lie in [0, 1]."""
    budget = Budget(trials=4, epochs=(0.1, 1.0))
    axes = {axis.name: axis for axis in space_of(entry(variant="gsam"), budget)}
    assert {name: axis.limits for name, axis in axes.items()} == {
        "lr": (0.0, None),
        "weight_decay": (0.0, None),
        "epochs": (0.0, 1.0),
        "rho": (0.0, None),
        "rho_min": (0.0, 1.0),
        "alpha": (0.0, None),
    }
    assert (axes["epochs"].edge(0.11), axes["epochs"].edge(1.0)) == ("low", "")


def test_the_points_of_halton_stay_what_they_are():
    """A search that was begun with an older version goes on with its next points."""
    axes = (Axis("a", 0, 1, "linear"), Axis("b", 0, 1, "linear"))
    points = [tuple(Halton(3).propose(axes, number, []).values()) for number in (1, 2, 3)]
    assert points == [(0.2248, 0.4903), (0.7248, 0.8236), (0.4748, 0.1569)]


def test_bases_may_have_ranges_of_their_own():
    budget = Budget.model_validate({"trials": 4, "lr": {"sgd": [0.01, 1, "log"], "adamw": [1e-4, 1e-2, "log"]}})
    for base, ends in (("sgd", (0.01, 1.0)), ("AdamW", (1e-4, 1e-2))):
        rate, decay = space_of(entry(variant="sgd", base=base), budget)
        assert (rate.low, rate.high) == ends
        assert (decay.low, decay.high) == (5e-5, 5e-3)
