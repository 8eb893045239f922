"""Variants find themselves; wrong names, values and plugins are answered with the way out."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from sambench.errors import ConfigError
from sambench.hyper import Hyper
from sambench.registry import load_entry_points
from sambench.variants import (
    Identity,
    Paper,
    Published,
    StepRule,
    VariantInfo,
    create,
    get_info,
    list_variants,
    load_plugin,
    published_results,
    register,
    registry,
)

PLUGIN = '''
from sambench.variants import StepRule, register

@register("{name}", summary="one gradient", paper=None, gradients=1)
class Mine(StepRule):
    """w+ = base(w, g)."""

    def update(self, closure):
        gradient = self.gradient(closure)
        self.descend(gradient)
        return gradient.loss
'''


def model():
    """A model with every kind of parameter that a rule may look for."""
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def params():
    return [torch.zeros(2, requires_grad=True)]


# -- what is there ---------------------------------------------------------------------------------------------


def test_listing_is_sorted_and_filtered_by_pattern():
    names = [info.name for info in list_variants()]
    assert names == sorted(names)
    assert {"sgd", "sam", "usam", "unified_sam", "asam"} <= set(names)
    assert [info.name for info in list_variants("*sam")] == [n for n in names if n.endswith("sam")]
    assert list_variants("nothing*") == []


@pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)
def test_metadata_is_complete(info):
    assert 10 < len(info.summary) <= 120
    assert not info.summary.endswith(".")
    assert issubclass(info.cls, StepRule)
    assert info.cls.info is info
    assert info.cls.__doc__
    assert ".. math::" in info.cls.__doc__ or any(".. math::" in (c.__doc__ or "") for c in info.cls.__mro__[1:3])
    assert info.paper is None or re.fullmatch(r"(\d{4}\.\d{4,5})?", info.paper.arxiv)
    assert len(info.source_hash()) == 64
    assert info.declared_gradients({k: h.default for k, h in info.hyper.items()}) > 0


@pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)
def test_a_variant_is_one_file_of_40_to_150_lines(info):
    """Long enough to state rule, paper and departures; short enough to be read at a sitting."""
    path = Path(info.source_file())
    assert path.name == f"{info.name}.py"
    assert 40 <= len(path.read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)
def test_every_setting_named_in_metadata_is_valid(info):
    """Neutral setting, identities and published defaults reach the optimizer as they are written."""
    named = [(info.name, setting) for setting in (info.neutral or {}, *info.defaults.values())]
    for identity in info.identities:
        named += [(info.name, identity.hyper), (identity.equals, identity.other)]
    for name, setting in named:
        optimizer = create(name, model(), **({"lr": 0.1, "momentum": 0.9} | dict(setting)))
        for group in optimizer.param_groups:
            assert {key: group[key] for key in setting} == dict(setting)


@pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)
def test_every_hyper_parameter_is_documented_and_searchable_where_it_says(info):
    for name, hyper in info.hyper.items():
        assert len(hyper.doc) > 3, name
        assert hyper.check(name, hyper.default) == hyper.default
        if hyper.search is None:
            continue
        *values, scale = hyper.search
        if scale in ("log", "linear"):
            low, high = values
            assert hyper.check(name, low) < hyper.check(name, high)
            assert scale != "log" or low > 0
        else:
            for value in hyper.search:
                hyper.check(name, value)


@pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)
def test_published_numbers_carry_their_source_and_a_valid_setting(info):
    for one in info.published:
        assert one.source not in ("", info.name)
        assert float(one.accuracy().split()[0]) == one.value  # no digit of the source is cut off
        for name, value in one.hyper.items():
            assert info.hyper[name].check(name, value) == value


def test_published_results_are_rows_of_plain_values():
    rows = published_results()
    assert len(rows) == sum(len(info.published) for info in list_variants()) > 0
    assert rows == json.loads(json.dumps(rows))
    table2 = [row for row in rows if row["source"].startswith("Oikonomou")]
    assert {row["variant"] for row in table2} == {"sgd", "sam", "usam", "unified_sam"}
    assert len(table2) == 1 + 4 * 5  # SGD, and every rho at every lam


@pytest.mark.parametrize(
    ("changes", "says"), [({"value": 0.959}, "a test accuracy in percent"), ({"source": ""}, "must name its data set")]
)
def test_published_number_without_unit_or_source_is_refused(changes, says):
    given = {
        "value": 95.9,
        "dataset": "cifar10",
        "network": "WRN-28-10",
        "protocol": "200 epochs",
        "source": "a README",
    }
    with pytest.raises(ConfigError, match=says):
        Published(**(given | changes))


# -- errors ----------------------------------------------------------------------------------------------------


def test_unknown_name_lists_and_suggests():
    with pytest.raises(ConfigError, match=r"unknown variant 'unifiedsam'; did you mean 'unified_sam'.*Valid: .*sgd"):
        create("unifiedsam", params(), lr=0.1)


def test_unknown_hyper_parameter_lists_those_of_variant_and_base():
    with pytest.raises(ConfigError, match=r"'roh' of 'sam' on base 'sgd'; did you mean 'rho'.*momentum"):
        create("sam", params(), lr=0.1, roh=0.1)


@pytest.mark.parametrize(
    ("hyper", "says"),
    [
        ({"rho": -0.1}, "rho=-0.1 is not valid: it must be a number >= 0"),
        ({"rho": float("nan")}, "rho=nan is not valid"),
        ({"rho": "big"}, "rho='big' is not valid"),
        ({"rho": True}, "rho=True is not valid"),
        ({"lr": -1.0}, "Invalid learning rate"),
        ({"momentum": -1.0}, "base optimizer 'sgd' refuses"),
    ],
)
def test_value_out_of_range_is_refused_at_construction(hyper, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        create("sam", params(), **({"lr": 0.1} | hyper))


def test_text_from_a_command_line_is_read():
    group = create("unified_sam", params(), lr=0.1, rho="0.3", lam="1").param_groups[0]
    assert (group["rho"], group["lam"]) == (0.3, 1.0)
    assert create("asam", [("weight", params()[0])], lr=0.1, scale_all="true").param_groups[0]["scale_all"] is True


def test_duplicate_name_names_both_files():
    with pytest.raises(ConfigError, match=r"'sam' is already registered by .*sam\.py; .*test_registry\.py must choose"):
        register("sam", summary="x", paper=None, gradients=1)(type("Again", (StepRule,), {"__module__": __name__}))


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"status": "trusted"}, "has status 'trusted'; valid: reference"),
        ({"needs": ("gradients",)}, "needs \\['gradients'\\]; valid: names"),
        ({"cost": "cheap"}, "has cost 'cheap'; valid: fixed"),
    ],
)
def test_wrong_metadata_is_refused(metadata, says):
    with pytest.raises(ConfigError, match=says):
        VariantInfo(name="x", summary="x", paper=None, gradients=1, **metadata)


def test_metadata_is_frozen():
    info = get_info("sam")
    with pytest.raises(AttributeError):
        info.summary = "x"
    with pytest.raises(TypeError):
        info.hyper["rho"] = Hyper(1.0, "x")


def test_cost_may_depend_on_hyper_parameters():
    info = VariantInfo(name="x", summary="x", paper=None, gradients=lambda h: 1 + 1 / h["k"], forwards=2)
    assert info.declared_gradients({"k": 5}) == 1.2
    assert info.declared_forwards({"k": 5}) == 2.0


def test_paper_and_identity_read_well():
    assert str(Paper("A, B", 2020, "2010.01412")) == "A, B 2020, arXiv 2010.01412"
    assert str(Paper("A", 1951)) == "A 1951"
    assert Identity({"rho": 0.0}, "sgd").other == {}


# -- plugins ---------------------------------------------------------------------------------------------------


def test_plugin_file_adds_its_variants(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.format(name="my_variant"))
    assert load_plugin(file) == ["my_variant"]
    assert get_info("my_variant").source_file() == str(file)
    assert create("my_variant", params(), lr=0.1).info.summary == "one gradient"
    assert load_plugin(str(file)) == ["my_variant"]


def test_plugin_with_a_taken_name_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.format(name="sam"))
    with pytest.raises(ConfigError, match="already registered"):
        load_plugin(file)
    file.write_text(PLUGIN.format(name="my_other_variant"))
    assert load_plugin(file) == ["my_other_variant"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "does not exist"),
        ("x = 1", "registers nothing; decorate a StepRule"),
        ("import sambench_nothing", "fails on import: ModuleNotFoundError"),
        ("def f(:", "fails on import: SyntaxError"),
    ],
)
def test_broken_plugin_says_what_is_wrong(tmp_path, text, says):
    file = tmp_path / "broken.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_plugin(file)


def test_entry_points_are_loaded(tmp_path, monkeypatch):
    """A package that declares the group ``sambench.variants`` is found without being named anywhere."""
    (tmp_path / "their_variants.py").write_text(PLUGIN.format(name="theirs"))
    info = tmp_path / "their_variants-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-variants\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sambench.variants]\ntheirs = their_variants\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setitem(sys.modules, "their_variants", None)
    del sys.modules["their_variants"]
    monkeypatch.setattr(registry.VARIANTS, "found", False)
    load_entry_points.cache_clear()
    assert get_info("theirs").summary == "one gradient"
