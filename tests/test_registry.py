"""Every kind of plug-in is found by name in the same way; what may go wrong is answered with the way out."""

import os

import pytest

from sambench import registry
from sambench.cli.describe import KINDS
from sambench.errors import ConfigError
from sambench.registry import Registry, has_parameters, is_built_in, load_plugin, source_hash
from sambench.variants.registry import VARIANTS, get_info

LISTED = {name: kind.registry for name, kind in KINDS.items()}
"""Importing what can be listed imports all registries."""
EVERY = pytest.mark.parametrize("kind", registry.REGISTRIES, ids=lambda kind: kind.noun)


@pytest.fixture
def hats():
    """A registry of the test's own."""
    made = Registry("hat")
    yield made
    registry.REGISTRIES.remove(made)


class Hat:
    """What one wears."""

    name = "bowler"


def test_every_registry_can_be_listed():
    assert set(map(id, LISTED.values())) == set(map(id, registry.REGISTRIES))
    assert len({kind.noun for kind in registry.REGISTRIES}) == len(registry.REGISTRIES) >= 12


@EVERY
def test_every_member_is_found_by_its_name(kind):
    assert kind.names()
    for name in kind.names():
        member = kind.members[name]
        assert is_built_in(member)
        assert len(source_hash(member)) == 64
        assert getattr(member, "name", name) == name
        examples = getattr(member, "examples", None) or [name]
        assert all(kind.get(example) is member and example in kind for example in examples)


@EVERY
def test_an_unknown_name_is_refused_with_the_nearest_and_all_valid_ones(kind):
    name = next(name for name in kind.names() if not has_parameters(name) and f"{name}x" not in kind)
    with pytest.raises(ConfigError) as refusal:
        kind.get(f"{name}x")
    assert f"unknown {kind.noun} '{name}x'; did you mean" in str(refusal.value)
    assert repr(name) in str(refusal.value)
    assert all(valid in str(refusal.value).partition("Valid: ")[2] for valid in kind.names())
    assert f"{name}x" not in kind


@EVERY
def test_a_duplicate_is_refused_and_names_both_files(kind):
    name = kind.names()[0]
    with pytest.raises(ConfigError, match=rf"{kind.noun} '.*' is already registered by .*\.py; .*\.py must choose"):
        kind.add(name, Hat)
    assert kind.members[name] is not Hat


@EVERY
def test_listing_is_sorted_and_filtered_by_pattern(kind):
    names = kind.names()
    assert names == sorted(names)
    assert kind.all() == [kind.members[name] for name in names]
    assert kind.names(f"{names[0][0]}*") == [name for name in names if name.startswith(names[0][0])]
    assert kind.all("no such name*") == []
    assert list(kind.summaries()) == names
    assert all(kind.summaries().values())


def test_a_name_with_parameters_stands_for_a_family(hats):
    hats.add("size{width}_{height}", Hat)
    hats.add("file:PATH", dict)
    assert hats.resolve("size12_7") == (Hat, ("12", "7"))
    assert hats.resolve("file:a/b.txt") == (dict, ("a/b.txt",))
    for wrong in ("size12", "size0_7", "size012_7", "sizex_7", "file"):
        assert wrong not in hats


@pytest.mark.parametrize(("first", "second"), [("size{width}", "size7"), ("size7", "size{width}"), ("a:DIR", "a:b")])
def test_a_family_and_one_of_its_names_cannot_both_be_registered(hats, first, second):
    hats.add(first, Hat)
    with pytest.raises(ConfigError, match="already registered"):
        hats.add(second, dict)


def test_what_has_no_name_is_refused(hats):
    class Nameless(Hat):
        pass

    with pytest.raises(ConfigError, match=r"hat .*Nameless has no name: give the class an attribute name"):
        hats.register(Nameless)
    assert hats.register(Hat) is Hat
    assert hats.names() == ["bowler"]
    assert hats.summaries() == {"bowler": "What one wears."}


PLUGIN = """
import numpy as np

from sambench.benchmarks.conformance import NotApplicable, register_check
from sambench.benchmarks.models import register_model
from sambench.benchmarks.theory.experiments import EXPERIMENTS, Experiment
from sambench.benchmarks.theory.problems import PROBLEMS
from sambench.benchmarks.theory.sampling import SAMPLINGS, Full
from sambench.benchmarks.theory.step_sizes import STEP_SIZES
from sambench.benchmarks.tuning.strategies import STRATEGIES
from sambench.datasets import register_dataset

@register_model("my_net{width}", "of so many units", examples=("my_net4",))
def my_net(task, width): ...

@register_dataset("my_data", "two classes", augment="none")
def my_data(name, folder, cache): ...

@register_check(10, "my_check", "says nothing")
def my_check(info):
    raise NotApplicable("of any variant")

@PROBLEMS.named("my_problem")
def my_problem(): ...

@SAMPLINGS.named("my_sampling")
def my_sampling(problem):
    return Full("my_sampling", problem.n)

@STEP_SIZES.named("my_steps")
def my_steps(c, t, lam):
    return np.full_like(t, 0.1), np.zeros_like(t)

def measure(quick): ...

EXPERIMENTS.register(Experiment("my_experiment", "A title", "About it", measure, measure, measure))

@STRATEGIES.register
class MyStrategy:
    name, summary, sequential = "my_strategy", "the middle of the space", False

    def __init__(self, trials): ...
"""
OF_THE_PLUGIN = {
    *("my_net{width}", "my_data", "my_check", "my_problem", "my_sampling", "my_steps", "my_experiment", "my_strategy")
}


def test_a_file_registers_plug_ins_of_every_kind(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    assert set(load_plugin(tmp_path / "mine.py")) == OF_THE_PLUGIN
    found = {name: kind.members[name] for kind in registry.REGISTRIES for name in kind.names("my*")}
    assert set(found) == OF_THE_PLUGIN
    assert not any(map(is_built_in, found.values()))
    assert len({source_hash(member) for member in found.values()}) == 1


def test_half_a_plug_in_is_none(tmp_path):
    (tmp_path / "half.py").write_text(f"{PLUGIN}\nraise ValueError('no more')")
    with pytest.raises(ConfigError, match="fails on import: ValueError: no more"):
        load_plugin(tmp_path / "half.py")
    assert not [name for kind in registry.REGISTRIES for name in kind.names("my*")]


NO_NAMES = [
    "",
    "../../x",
    "a b",
    "<script>|",
    "A",
    "1a",
    "_a",
    "a-b",
    "a.b",
    "a\nb",
    "a\x1b[1m",
    "\u0430",
    "$x$",
    "a:b",
    7,
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_names_of_plug_ins_are_plain_words(hats, name):
    with pytest.raises(ConfigError, match=r"hat .* needs "):
        hats.add(name, Hat)
    assert not hats.names()


@pytest.mark.parametrize("raised", ["GeneratorExit", "SystemExit(0)", "BaseException", "RecursionError"])
def test_a_plug_in_that_raises_anything_is_refused(raised, tmp_path):
    (tmp_path / "bad.py").write_text(f"raise {raised}")
    with pytest.raises(ConfigError, match="fails on import"):
        load_plugin(tmp_path / "bad.py")


def test_a_plug_in_that_is_no_python_is_refused(tmp_path):
    (tmp_path / "bad.so").write_bytes(b"no library")
    with pytest.raises(ConfigError, match="is no Python file"):
        load_plugin(tmp_path / "bad.so")


def test_a_plug_in_is_what_its_file_says_now(tmp_path, monkeypatch):
    """Bytecode is told by second and size: that of an edit within the second would be the code of before."""
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    file, found = tmp_path / "mine.py", []
    for factor in (1, 2):
        file.write_text(
            "from sambench.variants import StepRule, register\n"
            '@register("mine", summary="a step", paper=None, gradients=1)\n'
            "class Mine(StepRule):\n"
            f"    factor = {factor}\n"
        )
        os.utime(file, (10**9, 10**9))
        load_plugin(file)
        found.append(get_info("mine").cls.factor)
        registry._loaded.clear()
        VARIANTS.members.pop("mine")
    assert found == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
