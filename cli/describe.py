"""``sambench list`` and ``describe``: what can be found by name, and what is declared about it."""

import importlib
import inspect
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from typing import Annotated, Any, NamedTuple

import typer
from rich.text import Text

from ..benchmarks.suites.files import AT_SCALE, SUITES  # reads no spec, and so no torch
from ..errors import ConfigError, nearest, unknown
from ..hyper import Hyper
from ..registry import Registry, definition_of, has_parameters, summary_of
from ..results.records.models import find_run
from ..results.records.record import RunRecord
from ..results.records.store import Store
from .console import Part, facts, grid, listing, out, say, styled, tell
from .formulas import prose
from .options import RESULTS, Plugins, Results, results_option, typed

Row = dict[str, Any]


class Kind(NamedTuple):
    """What can be listed under a name.

    Args:
        place: ``module:attribute`` of its registry, imported when it is listed.
        about: what is cheap to say of a member beside its name and summary: column -> value.
    """

    place: str
    about: Callable[[Any], Row] = lambda member: {}

    @property
    def registry(self) -> Registry[Any]:
        """The registry, imported."""
        module, _, attribute = self.place.partition(":")
        return getattr(importlib.import_module(f"..{module}", __package__), attribute)

    def rows(self, pattern: str) -> list[Row]:
        """Describe the members whose names match a shell pattern, in alphabetical order."""
        registry = self.registry
        members = zip(registry.names(pattern), registry.all(pattern), strict=True)
        return [{"name": name, **self.about(member), "summary": summary_of(member)} for name, member in members]


def _defaults(hyper: Mapping[str, Hyper]) -> Row:
    return {key: value.default for key, value in hyper.items()}


def _variant(info: Any) -> Row:
    defaults = _defaults(info.hyper)
    gradients = info.declared_gradients(defaults)
    return {"gradients/step": gradients, "defaults": defaults, "asks": list(info.asks), "status": info.status}


def _plugin_class(one: Any) -> Row:
    return {"defaults": _defaults(one.hyper), "status": getattr(one, "status", "reference")}


def _dataset(info: Any) -> Row:
    return {key: getattr(info, key) for key in ("train", "test", "classes", "augment")}


def _model(info: Any) -> Row:
    return {"parameters for CIFAR-10": info.parameters, "paper": info.paper}


def _measure(one: Any) -> Row:
    return {"group": one.group, "defaults": _defaults(one.settings)}


KINDS = {
    "variants": Kind("variants.registry:VARIANTS", _variant),
    "hooks": Kind("variants.hooks:HOOKS", _plugin_class),
    "averages": Kind("variants.averages:AVERAGES", _plugin_class),
    "samplers": Kind("datasets.samplers:SAMPLERS", _plugin_class),
    "datasets": Kind("datasets.registry:DATASETS", _dataset),
    "models": Kind("benchmarks.models.registry:MODELS", _model),
    "problems": Kind("benchmarks.theory.problems.registry:PROBLEMS"),
    "samplings": Kind("benchmarks.theory.sampling.registry:SAMPLINGS"),
    "step-sizes": Kind("benchmarks.theory.step_sizes:STEP_SIZES"),
    "experiments": Kind("benchmarks.theory.experiments.base:EXPERIMENTS"),
    "checks": Kind("benchmarks.conformance.check:CHECKS", lambda check: {"number": check.number}),
    "measures": Kind("benchmarks.measuring.registry:MEASURES", _measure),
    "studies": Kind("benchmarks.studying.registry:STUDIES"),
    "strategies": Kind("benchmarks.tuning.strategies:STRATEGIES"),
    "executors": Kind("slurm.executor:EXECUTORS"),
    "loggers": Kind("benchmarks.training.loggers:LOGGERS"),
}
"""What is found by name through a registry."""


def _bases(pattern: str) -> list[Row]:
    from ..variants._bases import list_bases

    return [{"name": name} for name in list_bases() if fnmatch(name, pattern)]


def _suites(pattern: str) -> list[Row]:
    found = {name: SUITES.parse(name)[1] for name in SUITES.names() if fnmatch(name, pattern)}
    return [{"name": name, "summary": content.get("title", name)} for name, content in found.items()]


LISTS: dict[str, Callable[[str], list[Row]]] = {
    **{name: kind.rows for name, kind in KINDS.items()},
    "bases": _bases,
    "suites": _suites,
}
"""What can be listed: the members of the registries, base optimizers of timm, suites that ship."""


def list_(
    kind: Annotated[str, typer.Argument(help=" | ".join(LISTS))],
    pattern: Annotated[str, typer.Argument(help="of names, such as 'is_*'")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON array of objects, and nothing else")] = False,
    plugin: Plugins = None,
) -> None:
    """List what can be named in a run or a suite."""
    if kind not in LISTS:
        raise unknown("list", kind, LISTS)
    rows = LISTS[kind](pattern)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        columns = [column for column in rows[0] if column not in ("status", "asks")]
        out.print(listing(columns, [[_text(row, column) for column in columns] for row in rows]))
        if kind in NEXT or kind == "suites":
            tell(f"next: sambench describe {shlex.quote(rows[0]['name'])}{typed(plugin)}")
    if not rows:
        tell(f"no name matches {pattern!r}; sambench list {kind} shows all")


def _text(row: Row, column: str) -> str | Text:
    value = row[column]
    if column == "summary":
        asks = f" (asks an oracle for: {', '.join(row['asks'])})" if row.get("asks") else ""
        return styled(value, _mark(row.get("status", "reference")), (asks, "dim"))
    if column.startswith("parameters"):
        return ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in value.items())
    if isinstance(value, Mapping):
        return _pairs(value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def describe(
    name: Annotated[str, typer.Argument(help="anything that `sambench list` shows, or the id of a run")],
    results: Results = RESULTS,
    plugin: Plugins = None,
) -> None:
    """Say everything that is declared about a name: rule, paper, cost and hyper-parameters of a variant, and likewise.

    A name of several kinds (digits is a data set and a suite) is described as each of them.
    """
    of_runs = [kind for kind in KINDS if kind in OF_RUNS]
    found = _found(name, of_runs)
    suite = name.endswith(".toml") or name.removesuffix(AT_SCALE) in SUITES.names()
    if not found and not suite:
        found = _found(name, [kind for kind in KINDS if kind not in OF_RUNS])
    for kind in found:
        registry = KINDS[kind].registry
        if kind != "variants":
            say((f"{registry.noun} ", "dim"), end="")
        SHOW.get(kind, _other)(name, registry.members.get(name) or registry.get(name), KINDS[kind].about)
        if kind in NEXT:
            say(f"next: sambench {NEXT[kind](name, registry)}{typed(plugin)}")
    if suite:
        _suite(name, plugin)
    elif not found and name in _names("bases"):
        say((name, "bold"), "  base optimizer of timm; its settings are --lr, --momentum, ... and --set NAME=VALUE")
    elif not found:
        _run(name, Store(results))


OF_RUNS = ("variants", "hooks", "averages", "samplers", "datasets", "models")
"""Kinds that a run names; the others take seconds to import, and are looked through where these lack the name."""


def _found(name: str, kinds: Iterable[str]) -> list[str]:
    registries = [(kind, KINDS[kind].registry) for kind in kinds]
    return [kind for kind, registry in registries if name in registry or name in registry.members]


def _names(kind: str) -> list[str]:
    return [row["name"] for row in LISTS[kind]("*")]


def _variant_page(name: str, info: Any, about: Callable[[Any], Row]) -> None:
    say((info.name, "bold"), f"  {info.summary}")
    if info.status != "reference":
        say((info.status, "yellow"))
    say(_doc(info.cls))
    for kind, own in (("hooks", info.hook), ("averages", info.average)):
        if own != "none":
            say(f"\n{own}: {_doc(KINDS[kind].registry.get(own))}")
    declared = [
        ("paper", str(info.paper or "none")),
        ("gradient evaluations per step", f"{info.declared_gradients(_defaults(info.hyper)):g}"),
        ("extra state", f"{info.state:g} x parameters persistent, {info.transient:g} x within a step"),
        ("sampler", info.sampler),
        ("loss hook", info.hook),
        ("weight average", info.average),
        ("needs", info.requirements()),
        ("caveats", info.notes or "none"),
    ]
    out.print(facts(declared))
    _hyper(info.hyper)
    for dataset, values in info.defaults.items():
        say(f"published for {dataset}: {_pairs(values)}")
    if info.published:
        said = [(one.accuracy(), one.dataset, one.network, _pairs(one.hyper), one.source) for one in info.published]
        say("\npublished accuracies, quoted and not measured here:")
        out.print(grid(["test accuracy, %", "data set", "network", "setting", "source"], said))


def _model_page(name: str, info: Any, about: Callable[[Any], Row]) -> None:
    """Describe a model or, under a name with parameters, a family of them."""
    own = info if has_parameters(info.name) is None or name == info.name else replace(info, examples=(name,))
    _other(name, own, about)


def _dataset_page(name: str, info: Any, about: Callable[[Any], Row]) -> None:
    """Describe a data set, or a format of them, which takes a folder."""
    known = {"shape": info.shape and " x ".join(map(str, info.shape)), "fingerprint": info.fingerprint}
    _other(name, info, lambda one: {**about(one), **known})


def _other(name: str, member: Any, about: Callable[[Any], Row]) -> None:
    """Describe what has no page of its own: what lists say of it, its documentation and its hyper-parameters."""
    say((name, "bold"), f"  {summary_of(member)}", _mark(getattr(member, "status", "reference")))
    known = {"paper": getattr(member, "paper", None), **about(member)}
    declared = {key: value for key, value in known.items() if value and key not in ("defaults", "status")}
    if declared:
        out.print(facts([(key, _value(value)) for key, value in declared.items()]))
    text = _doc(definition_of(member))
    if text not in ("", summary_of(member)):
        say(f"\n{text}")
    _hyper(getattr(member, "hyper", {}))


def _doc(definition: Any) -> str:
    """Return the docstring of a class or function, as a terminal shows it."""
    return prose(inspect.getdoc(definition) or "", min(out.width, 120))


def _measure_page(name: str, one: Any, about: Callable[[Any], Row]) -> None:
    say((name, "bold"), f"  {one.summary} (group {one.group}, version {one.version})")
    say(_doc(one.function))
    out.print(facts([("paper", one.paper or "none")]))
    out.print(grid(["value", "meaning"], list(one.values.items())))
    _hyper(one.settings, "setting")


def _suite(name: str, plugin: list[str] | None) -> None:
    """Describe a suite, one that ships or a file: what it compares, on what, and how much that is."""
    from ..benchmarks.suites.suite import load_suite

    suite = load_suite(name)
    methods = list(dict.fromkeys(label.rpartition(" seed ")[0] for label in suite.labels))
    say(("suite ", "dim"), (name, "bold"), f"  {suite.title}")
    say(suite.description.strip())
    rows = [
        ("workload", " ".join(f"{key}={value}" for key, value in suite.common.items())),
        ("tracks", ", ".join(track.name for track in suite.resolved_tracks) or "none"),
        ("seeds", ", ".join(map(str, suite.seeds))),
        ("runs", str(len(suite.specs))),
        ("methods", ", ".join(methods)),
    ]
    if suite.budget is not None:
        rows.append(("tuning", f"{suite.budget.trials} trials a method, then `sambench tune {name}` names the suite"))
    out.print(facts(rows))
    say(f"next: sambench plan {shlex.quote(name)}{typed(plugin)}")


def _run(name: str, store: Store) -> None:
    """Describe a run of the results folder by its id, or by the first digits of it.

    Raises:
        ConfigError: nothing has this name.
        StateError: more than one run begins with it.
    """
    if not re.fullmatch("[0-9a-f]{6,64}", name) or not any(run_id.startswith(name) for run_id in store.run_ids()):
        near = nearest(name, {each for kind in LISTS for each in _names(kind)})
        meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
        raise ConfigError(
            f"nothing is called {name!r}{meant} `sambench list KIND` shows the names of: {', '.join(LISTS)}"
        )
    record = store.read(find_run(store, name))
    changed = {key: value for key, value in record.spec.items() if value not in (None, "", {}, ())}
    made = record.environment
    rows = [
        ("run", record.run_id),
        *((key, _value(value)) for key, value in changed.items()),
        ("status", record.status),
        *outcome(record),
        ("made with", f"sambench {made.sambench}, torch {made.torch}, on {made.device_name}"),
    ]
    out.print(facts(rows))
    say(f"next: sambench leaderboard{results_option(store.root)}")


def outcome(record: RunRecord) -> list[tuple[str, str]]:
    """Say what a run ended with and what it cost, as (name, value) lines."""
    rows = [("error", record.error)] if record.error else []
    if (measured := record.metrics) is not None:
        rows += [
            (f"{measured.split} accuracy", f"{measured.accuracy:.2%} of {measured.count}"),
            (f"{measured.split} loss", f"{measured.loss:.4f} nats"),
        ]
    if (begun := record.initialization) is not None:
        own = record.spec["init"] != "adversarial"
        what = f"run {begun.run_id[:12]}" if own else "SGD on random labels"
        fitted = "" if own or begun.train_error is None else f", {1 - begun.train_error:.1%} of which it fits"
        rows.append(("initialization", f"{begun.gradient_evaluations:g} gradient evaluations of {what}{fitted}"))
    return [
        *rows,
        ("gradient evaluations", f"{record.counters.gradient_evaluations:g}"),
        ("forward evaluations", f"{record.counters.forward_evaluations:g}"),
        *([("devices", str(record.environment.devices))] if record.environment.devices > 1 else []),
        ("training time", f"{record.timing.train_seconds:.1f} s, {record.timing.images_per_second:.0f} images/s"),
    ]


SHOW = {"variants": _variant_page, "measures": _measure_page, "models": _model_page, "datasets": _dataset_page}
"""How the members of a kind are described; the others by what lists say of them."""


def _next_of_model(name: str, registry: Registry[Any]) -> str:
    return f"run --model {registry.members[name].examples[0] if name in registry.members else name}"


NEXT: dict[str, Callable[[str, Registry[Any]], str]] = {
    "variants": lambda name, registry: f"run --variant {name}",
    "models": _next_of_model,
    "datasets": lambda name, registry: "list datasets" if has_parameters(name) else f"fetch {name}",
}
"""What is done next with a member of a kind."""


def _pairs(values: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return _pairs(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _hyper(hyper: Mapping[str, Hyper], title: str = "hyper-parameter") -> None:
    rows = [(key, str(h.default), h.describe(), h.doc) for key, h in hyper.items()]
    if rows:
        out.print(grid([title, "default", "valid", "meaning"], rows))


def _mark(status: str) -> Part:
    """Say of what has no source to check against that it is unverified."""
    return "" if status == "reference" else (f" ({status})", "yellow")
