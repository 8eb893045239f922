"""``sambench list`` and ``describe``: what can be found by name, and what is declared about it."""

import importlib
import json
import tomllib
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from typing import Annotated, Any, NamedTuple

import typer

from ..errors import unknown
from ..hyper import Hyper
from ..registry import Registry, summary_of
from .console import err, facts, grid, out
from .options import Plugins

Row = dict[str, Any]


def _nothing(member: Any) -> Row:
    return {}


class Kind(NamedTuple):
    """What can be listed under a name.

    Args:
        place: ``module:attribute`` of its registry, imported when it is listed.
        about: what is cheap to say of a member beside its name and summary: column -> value.
    """

    place: str
    about: Callable[[Any], Row] = _nothing

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
    "strategies": Kind("benchmarks.tuning.strategies:STRATEGIES"),
    "executors": Kind("slurm.executor:EXECUTORS"),
}
"""What is found by name through a registry."""


def _bases(pattern: str) -> list[Row]:
    from ..variants._bases import list_bases

    return [{"name": name} for name in list_bases() if fnmatch(name, pattern)]


def _suites(pattern: str) -> list[Row]:
    from ..benchmarks.suites.files import find_suite, list_suites  # reads no spec, and so no torch

    found = {name: tomllib.loads(find_suite(name)[1]) for name in list_suites() if fnmatch(name, pattern)}
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
        out.print(grid(columns, [[_text(row, column) for column in columns] for row in rows]))
    if not rows:
        err.print(f"no name matches {pattern!r}; sambench list {kind} shows all", highlight=False)


def _text(row: Row, column: str) -> str:
    value = row[column]
    if column == "summary":
        asks = f" [dim](asks an oracle for: {', '.join(row['asks'])})[/]" if row.get("asks") else ""
        return value + _mark(row.get("status", "reference")) + asks
    if column.startswith("parameters"):
        return ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in value.items())
    if isinstance(value, Mapping):
        return " ".join(f"{key}={each}" for key, each in value.items())
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def describe(
    name: Annotated[str, typer.Argument(help="a variant, loss hook, weight average, sampler or measure")],
    plugin: Plugins = None,
) -> None:
    """Say everything that is declared about a plug-in: rule, paper, cost, hyper-parameters, caveats."""
    variants = KINDS["variants"].registry
    others = {one.name: one for kind in ("samplers", "averages", "hooks") for one in KINDS[kind].registry.all()}
    if name in others and name not in variants:
        _plugin(others[name])
        return
    measures = KINDS["measures"].registry
    if name not in variants and name in measures:
        _describe_measure(measures.get(name))
        return
    info = variants.get(name)
    hyper = {key: value.default for key, value in info.hyper.items()}
    out.print(f"[bold]{info.name}[/]  {info.summary}", highlight=False)
    if info.status != "reference":
        out.print(f"[yellow]{info.status}[/]")
    out.print((info.cls.__doc__ or "").strip(), highlight=False, markup=False)
    for own in (info.hook, info.average):
        if own != "none":
            out.print(f"\n{own}: {(others[own].__doc__ or '').strip()}", highlight=False, markup=False)
    out.print()
    declared = [
        ("paper", str(info.paper or "none")),
        ("gradient evaluations per step", f"{info.declared_gradients(hyper):g}"),
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
        out.print(f"published for {dataset}: {' '.join(f'{k}={v}' for k, v in values.items())}", highlight=False)
    if info.published:
        said = [
            (one.accuracy(), one.dataset, one.network, " ".join(f"{k}={v}" for k, v in one.hyper.items()), one.source)
            for one in info.published
        ]
        out.print("\npublished accuracies, quoted and not measured here:")
        out.print(grid(["test accuracy, %", "data set", "network", "setting", "source"], said))


def _plugin(plugin: Any) -> None:
    """Describe a plug-in whose metadata are class attributes."""
    out.print(
        f"[bold]{plugin.name}[/]  {plugin.summary}{_mark(getattr(plugin, 'status', 'reference'))}", highlight=False
    )
    out.print((plugin.__doc__ or "").strip(), highlight=False, markup=False)
    out.print()
    out.print(facts([("paper", str(getattr(plugin, "paper", None) or "none"))]))
    _hyper(plugin.hyper)


def _describe_measure(one: Any) -> None:
    out.print(f"[bold]{one.name}[/]  {one.summary} (group {one.group}, version {one.version})", highlight=False)
    out.print((one.function.__doc__ or "").strip(), highlight=False, markup=False)
    out.print()
    out.print(facts([("paper", one.paper or "none")]))
    out.print(grid(["value", "meaning"], list(one.values.items())))
    _hyper(one.settings, "setting")


def _hyper(hyper: Mapping[str, Hyper], title: str = "hyper-parameter") -> None:
    rows = [(key, str(h.default), h.describe(), h.doc) for key, h in hyper.items()]
    if rows:
        out.print(grid([title, "default", "valid", "meaning"], rows))


def _mark(status: str) -> str:
    """Say of what has no source to check against that it is unverified."""
    return "" if status == "reference" else f" [yellow]({status})[/]"
