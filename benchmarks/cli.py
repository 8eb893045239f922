"""The command line: the only place that knows every room."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table

from .. import __version__
from ..datasets import list_datasets
from ..datasets.samplers import list_samplers
from ..errors import ConfigError, SambenchError
from ..results import leaderboard as boards
from ..results import notes, plots
from ..results import table as tables
from ..results.board import Boards, Checks, gather, read_checks
from ..results.cells import COLUMNS, LEFT, cells
from ..results.published import published
from ..results.record import RunRecord
from ..results.store import Store
from ..slurm.attempt import Site
from ..slurm.profile import Profile
from ..variants import get_info, list_bases, list_variants, load_plugin
from . import conformance, models
from .cluster_commands import Workers, cancel, launch, logs, plan, retry, start, status
from .environment import pick_device
from .execute import execute
from .interrupt import Interrupted
from .options import read_fields, read_settings, spec_options
from .progress import run_progress
from .spec import Source, defaults_for_here, make_spec
from .suite import list_suites, load_suite
from .theory import commands as theory
from .tune_commands import calibrate_, tune

app = typer.Typer(
    name="sambench",
    help="A benchmark suite for Sharpness-Aware Minimization: plug-in optimizers, one harness, honest leaderboards.\n\n"
    "Start with [bold]sambench quickstart[/]; see what there is with [bold]sambench list variants[/].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(theory.app, name="theory", rich_help_panel="Look")
out, err = Console(), Console(stderr=True)

Results = Annotated[
    Path, typer.Option("--results", envvar="SAMBENCH_RESULTS", help="folder of records and checkpoints")
]
Plugins = Annotated[list[str], typer.Option("--plugin", help="Python file that registers variants; may be repeated")]
DataRoot = Annotated[str | None, typer.Option("--data", envvar="SAMBENCH_DATA", help="folder of downloaded data sets")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
Sources = Annotated[
    list[str], typer.Option("--source", help="where a data set lies: NAME=parquet:DIR; may be repeated")
]
Every = Annotated[float, typer.Option("--checkpoint-seconds", min=0, help="least time between two checkpoints")]


def _version(asked: bool) -> None:
    if asked:
        out.print(f"sambench {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=err, show_path=False, show_time=False)]
    )


# -- what there is ---------------------------------------------------------------------------------------------


@app.command("list", rich_help_panel="Look")
def list_(
    what: Annotated[str, typer.Argument(help="variants | datasets | models | samplers | bases | suites")],
    plugin: Plugins = [],  # noqa: B006  (typer copies it)
) -> None:
    """List what can be named in a run or a suite."""
    for path in plugin:
        load_plugin(path)
    tables = {
        "variants": _variants_table,
        "datasets": _datasets_table,
        "models": _models_table,
        "samplers": lambda: _table(["sampler", "what it does"], [(p.name, p.summary) for p in list_samplers()]),
        "bases": lambda: _table(["base optimizer"], [(name,) for name in list_bases()]),
        "suites": lambda: _table(
            ["suite", "runs", "what it is"],
            [(s.name, str(len(s.specs)), s.title) for s in map(load_suite, list_suites())],
        ),
    }
    if what not in tables:
        raise ConfigError(f"there is no list of {what!r}; valid: {', '.join(tables)}")
    out.print(tables[what]())


def _table(columns: list[str], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    return table


def _variants_table() -> Table:
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
    return _table(["variant", "gradients/step", "defaults", "what it does"], rows)


def _datasets_table() -> Table:
    def known(value: Any) -> str:
        return "" if value is None else str(value)

    rows = [(d.name, known(d.train), known(d.test), known(d.classes), d.augment, d.summary) for d in list_datasets()]
    return _table(["dataset", "train", "test", "classes", "augmentation", "what it is"], rows)


def _models_table() -> Table:
    rows = []
    for info in models.list_models():
        counts = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in info.parameters.items())
        rows.append((info.name, info.summary, counts, info.paper or ""))
    return _table(["model", "what it is", "parameters (CIFAR-10)", "paper"], rows)


@app.command(rich_help_panel="Look")
def describe(
    name: Annotated[str, typer.Argument(help="a variant")],
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Say everything that is declared about a variant: rule, paper, cost, hyper-parameters, caveats."""
    for path in plugin:
        load_plugin(path)
    info = get_info(name)
    hyper = {key: value.default for key, value in info.hyper.items()}
    out.print(f"[bold]{info.name}[/]  {info.summary}", highlight=False)
    if info.status != "reference":
        out.print(f"[yellow]{info.status}[/]")
    out.print((info.cls.__doc__ or "").strip(), highlight=False, markup=False)
    out.print()
    facts = [
        ("paper", str(info.paper or "none")),
        ("gradient evaluations per step", f"{info.declared_gradients(hyper):g}"),
        ("extra state", f"{info.state:g} x parameters persistent, {info.transient:g} x within a step"),
        ("sampler", info.sampler),
        ("needs", ", ".join(info.needs) or "a plain closure and bare parameters"),
        ("caveats", info.notes or "none"),
    ]
    out.print(_table(["", ""], facts))
    rows = [(key, str(h.default), h.describe(), h.doc) for key, h in info.hyper.items()]
    if rows:
        out.print(_table(["hyper-parameter", "default", "valid", "meaning"], rows))
    for dataset, values in info.defaults.items():
        out.print(f"published for {dataset}: {' '.join(f'{k}={v}' for k, v in values.items())}", highlight=False)
    if info.published:
        said = [
            (one.accuracy(), one.dataset, one.network, " ".join(f"{k}={v}" for k, v in one.hyper.items()), one.source)
            for one in info.published
        ]
        out.print("\npublished accuracies, quoted and not measured here:")
        out.print(_table(["test accuracy, %", "data set", "network", "setting", "source"], said))


@app.command(rich_help_panel="Extend")
def check(
    names: Annotated[list[str], typer.Argument(help="variants, or patterns such as 'is_*'")],
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Hold variants to the conformance suite: identities, restore, resume, cost, edge cases, precision, DDP."""
    for path in plugin:
        load_plugin(path)
    if not conformance.check(names, out):
        raise SambenchError("not every check holds")


@app.command(rich_help_panel="Extend")
def new(
    name: Annotated[str, typer.Argument(help="of the variant, in snake_case")],
    folder: Annotated[Path, typer.Option("--folder", help="where to write the file")] = Path("."),
) -> None:
    """Write a commented variant that passes the conformance suite as it stands, to start your own from."""
    path = conformance.new_variant(name, folder)
    out.print(f"wrote {path}; try: sambench check {name} --plugin {path}", highlight=False)


# -- one run ---------------------------------------------------------------------------------------------------


@app.command(rich_help_panel="Run")
@spec_options
def run(
    fields: dict[str, Any],
    settings: Annotated[
        list[str],
        typer.Option("--set", help="hyper-parameter of variant, sampler or base: NAME=VALUE; may be repeated"),
    ] = [],  # noqa: B006
    results: Results = Path("results"),
    plugin: Plugins = [],  # noqa: B006
    data: DataRoot = None,
    device: Device = "auto",
    checkpoint_seconds: Every = 60.0,
) -> None:
    """Train one run and write its record. A run that is in the store is shown; an interrupted one resumes.

    The data set may be named with its place, as in --dataset cifar10-jpeg=parquet:DIR: records carry the name.
    """
    for path in plugin:
        load_plugin(path)
    source = None
    fields = read_fields(fields)
    if "dataset" in fields:
        source = Source.parse(fields["dataset"])
        fields["dataset"] = source.name
    picked = pick_device(device)
    spec = make_spec({**defaults_for_here(picked), **fields, "hyper": read_settings(settings)})
    store = Store(results)
    known = store.has(spec.run_id)
    with run_progress(err) as watch:
        record = execute(
            spec,
            store,
            source=source,
            data_root=data,
            device=picked,
            checkpoint_seconds=checkpoint_seconds,
            watch=watch,
        )
    out.print(f"{'already in the store' if known else record.status}: {store.path(spec.run_id)}", highlight=False)
    rows = [("run", spec.label())]
    if record.metrics is not None:
        rows += [
            (f"{record.metrics.split} accuracy", f"{record.metrics.accuracy:.2%} of {record.metrics.count}"),
            (f"{record.metrics.split} loss", f"{record.metrics.loss:.4f} nats"),
        ]
    else:
        rows.append((record.status, record.error or ""))
    rows += [
        ("gradient evaluations", f"{record.counters.gradient_evaluations:g}"),
        ("forward evaluations", f"{record.counters.forward_evaluations:g}"),
        ("training time", f"{record.timing.train_seconds:.1f} s, {record.timing.images_per_second:.0f} images/s"),
    ]
    out.print(_table(["", ""], rows))


# -- suites ----------------------------------------------------------------------------------------------------

for command in (plan, launch, status, logs, cancel, retry):
    app.command(rich_help_panel="Suites")(command)
app.command(rich_help_panel="Suites")(tune)
app.command("calibrate", rich_help_panel="Suites")(calibrate_)


@app.command(rich_help_panel="Suites")
def quickstart(
    results: Results = Path("quickstart"),
    workers: Workers = None,
    device: Device = "cpu",
) -> None:
    """Train a small network with many variants on embedded data and show the leaderboard. A few minutes."""
    store = Store(results)
    store.check_writable()
    start(load_suite("quickstart"), store, "local", Profile.model_validate({}), Site(store.root, device), workers)
    board, figures = results / "LEADERBOARD.md", results / "figures"
    found = gather(store)
    boards.write(boards.render(found, _checks()), board)
    _print_board(found)
    for path in plots.draw(_good(store), figures):
        err.print(f"figure: {path}", highlight=False)
    err.print(f"figure: {theory.quick_figure(figures)}", highlight=False)
    out.print(f"board: {board}", highlight=False)


def _good(store: Store) -> Iterator[RunRecord]:
    """Yield the records that can be read; name the files that cannot."""
    for record in store.scan():
        if isinstance(record, RunRecord):
            yield record
        else:
            err.print(f"[yellow]left out:[/] {record}", highlight=False)


def _checks() -> Checks:
    """Read what the conformance suite found, where this package is a checkout that has it."""
    return read_checks(Path(__file__).resolve().parents[1] / "docs" / "variants" / "conformance.json")


_NARROW = [name for name in COLUMNS if name not in ("Memory, MiB", "Checks", "Tier", "Settings")]


def _print_board(found: Boards) -> None:
    for section in found.sections:
        track = f": track {section.track.name}" if section.track else ""
        title = f"{section.workload.title}{track}"
        table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
        for name in _NARROW:
            table.add_column(name, justify="left" if name in LEFT else "right")
        for row in section.workload.rows:
            texts = cells(row, section, _checks()) | {"Variant": row.label}
            table.add_row(*(texts[name] for name in _NARROW))
        out.print(table)
        for note in notes.notes(section):
            out.print(f"- {note}", highlight=False, markup=False)


# -- results ---------------------------------------------------------------------------------------------------


@app.command(rich_help_panel="Results")
def leaderboard(
    results: Results = Path("results"),
    output: Annotated[Path, typer.Option("--output", help="the file to write")] = Path("LEADERBOARD.md"),
    check: Annotated[bool, typer.Option("--check", help="write nothing; fail if the file is stale")] = False,
) -> None:
    """Regenerate the leaderboard from the records, byte for byte the same for the same records."""
    text = boards.render(gather(Store(results)), _checks(), published())
    if check:
        boards.check(text, output)
        out.print(f"{output} is up to date", highlight=False)
    else:
        boards.write(text, output)
        out.print(f"wrote {output}", highlight=False)


@app.command(rich_help_panel="Results")
def plot(
    results: Results = Path("results"),
    output: Annotated[
        Path | None, typer.Option("--output", help="folder for the figures [default: figures in the results]")
    ] = None,
) -> None:
    """Draw the figures: learning curves, and accuracy against gradient evaluations."""
    for path in plots.draw(_good(Store(results)), output or results / "figures"):
        out.print(str(path), highlight=False)


@app.command(rich_help_panel="Results")
def export(
    output: Annotated[Path, typer.Argument(help="the file to write")],
    results: Results = Path("results"),
    format_: Annotated[str, typer.Option("--format", help="csv | parquet [default: by the file's ending]")] = "",
) -> None:
    """Write a tidy table with one row a run, for pandas."""
    kind = format_ or output.suffix.removeprefix(".")
    if kind not in ("csv", "parquet"):
        raise ConfigError(f"format {kind!r} is not valid; choose csv or parquet")
    table = tables.export(_good(Store(results)), output, kind)
    out.print(f"wrote {len(table)} rows to {output}", highlight=False)


def main() -> None:
    """Run the command line; expected errors are a message and exit code 2, an interrupt is 130."""
    try:
        app(standalone_mode=True)
    except SambenchError as error:
        err.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except Interrupted as stop:
        err.print(f"interrupted: {stop}; the same command resumes", highlight=False)
        sys.exit(130)


if __name__ == "__main__":
    main()
