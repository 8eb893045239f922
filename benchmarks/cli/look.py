"""``sambench list`` and ``describe``: what can be named in a run or a suite, and what is declared about it."""

from typing import Annotated, Any

import typer
from rich.table import Table

from ...datasets import list_datasets
from ...datasets.samplers import list_samplers
from ...errors import ConfigError
from ...variants import get_info, list_bases, list_variants
from .. import models
from ..suite import list_suites, load_suite
from .console import facts, grid, out
from .options import Plugins


def list_(
    what: Annotated[str, typer.Argument(help="variants | datasets | models | samplers | bases | suites")],
    plugin: Plugins = None,
) -> None:
    """List what can be named in a run or a suite."""
    if what not in TABLES:
        raise ConfigError(f"there is no list of {what!r}; valid: {', '.join(TABLES)}")
    out.print(TABLES[what]())


def describe(name: Annotated[str, typer.Argument(help="a variant")], plugin: Plugins = None) -> None:
    """Say everything that is declared about a variant: rule, paper, cost, hyper-parameters, caveats."""
    info = get_info(name)
    hyper = {key: value.default for key, value in info.hyper.items()}
    out.print(f"[bold]{info.name}[/]  {info.summary}", highlight=False)
    if info.status != "reference":
        out.print(f"[yellow]{info.status}[/]")
    out.print((info.cls.__doc__ or "").strip(), highlight=False, markup=False)
    out.print()
    declared = [
        ("paper", str(info.paper or "none")),
        ("gradient evaluations per step", f"{info.declared_gradients(hyper):g}"),
        ("extra state", f"{info.state:g} x parameters persistent, {info.transient:g} x within a step"),
        ("sampler", info.sampler),
        ("needs", ", ".join(info.needs) or "a plain closure and bare parameters"),
        ("caveats", info.notes or "none"),
    ]
    out.print(facts(declared))
    rows = [(key, str(h.default), h.describe(), h.doc) for key, h in info.hyper.items()]
    if rows:
        out.print(grid(["hyper-parameter", "default", "valid", "meaning"], rows))
    for dataset, values in info.defaults.items():
        out.print(f"published for {dataset}: {' '.join(f'{k}={v}' for k, v in values.items())}", highlight=False)
    if info.published:
        said = [
            (one.accuracy(), one.dataset, one.network, " ".join(f"{k}={v}" for k, v in one.hyper.items()), one.source)
            for one in info.published
        ]
        out.print("\npublished accuracies, quoted and not measured here:")
        out.print(grid(["test accuracy, %", "data set", "network", "setting", "source"], said))


def _variants() -> Table:
    rows = []
    for info in list_variants():
        hyper = {key: value.default for key, value in info.hyper.items()}
        mark = "" if info.status == "reference" else f" [yellow]({info.status})[/]"
        rows.append(
            (
                info.name,
                f"{info.declared_gradients(hyper):g}",
                " ".join(f"{key}={value}" for key, value in hyper.items()),
                info.summary + mark,
            )
        )
    return grid(["variant", "gradients/step", "defaults", "what it does"], rows)


def _datasets() -> Table:
    def known(value: Any) -> str:
        return "" if value is None else str(value)

    rows = [(d.name, known(d.train), known(d.test), known(d.classes), d.augment, d.summary) for d in list_datasets()]
    return grid(["dataset", "train", "test", "classes", "augmentation", "what it is"], rows)


def _models() -> Table:
    rows = []
    for info in models.list_models():
        counts = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in info.parameters.items())
        rows.append((info.name, info.summary, counts, info.paper or ""))
    return grid(["model", "what it is", "parameters (CIFAR-10)", "paper"], rows)


def _samplers() -> Table:
    return grid(["sampler", "what it does"], [(policy.name, policy.summary) for policy in list_samplers()])


def _bases() -> Table:
    return grid(["base optimizer"], [(name,) for name in list_bases()])


def _suites() -> Table:
    found = map(load_suite, list_suites())
    return grid(["suite", "runs", "what it is"], [(s.name, str(len(s.specs)), s.title) for s in found])


TABLES = {
    "variants": _variants,
    "datasets": _datasets,
    "models": _models,
    "samplers": _samplers,
    "bases": _bases,
    "suites": _suites,
}
"""What can be listed, and how."""
