"""Tuning a suite: the search of ``benchmarks/tuning`` with its trials made by an executor, and what is kept of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import units
from ..atomic import atomic_write_bytes, make_folder
from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.suite import Suite, load_suite
from ..benchmarks.training.behaviour import codes_today
from ..benchmarks.tuning.search import tune, tuned_entries
from ..benchmarks.tuning.strategies import SearchStrategy
from ..benchmarks.tuning.tuned_suite import final_suite
from ..errors import StateError
from ..results.records.behaviour import code_of
from ..results.records.manifest import FOLDER as SUITES
from ..results.records.manifest import read_manifest
from ..results.records.retractions import RETRACTED, read_retractions, reasons
from ..results.records.store import Store
from ..results.records.trials import FOLDER as LEDGERS
from ..results.records.trials import TRIALS, Trial, read_ledger, write_ledger
from .events import Listen, RunEvent
from .executor import Executor
from .launch import Watch, carry_out, silent
from .options import RunOptions
from .plan import Plan


@dataclass(frozen=True)
class TunedSuite:
    """What a tuning leaves behind.

    Args:
        trials: every trial, the chosen ones marked.
        ledger: Parquet file of the trials.
        suite: TOML file of the final runs with the chosen settings, to launch next.
    """

    trials: list[Trial]
    ledger: Path
    suite: Path


def tune_suite(
    suite: Suite,
    options: RunOptions,
    strategy: SearchStrategy,
    executor: Executor,
    *,
    tell: Callable[[str], None] = print,
    watch: Watch = silent,
) -> TunedSuite:
    """Choose hyper-parameters for every method of a suite under one budget; write the ledger and the suite to launch.

    Args:
        suite: a suite whose file has a table ``[tuning]``.
        options: results folder of the final runs, data and plug-ins.
        strategy: proposes the settings of the trials.
        executor: where the trials are run.
        tell: is given a line of text about every round of trials.
        watch: is given the plan of every round; as in :func:`~sambench.slurm.launch.launch_suite`.

    Raises:
        ConfigError: the suite has no budget, or no track to tune on.
        StateError: trials cannot be made or have no result (the same call resumes), or final runs were made with other
            settings.
    """
    tuned_entries(suite)
    results = options.results
    store = Store(results / TRIALS)
    store.check_writable()
    options = replace(options, results=store.root)
    ledger, final = results / LEDGERS / f"{suite.name}.parquet", results / SUITES / f"{suite.name}.toml"
    known = _known(ledger)
    trials = tune(suite, store, strategy, _rounds(suite, options, executor, tell, watch), known)
    digest = write_ledger(trials, candidate := ledger.with_suffix(".new"))
    text = final_suite(suite, trials, ledger.name, digest)
    _check_unseen(suite, results, final, text)
    candidate.replace(ledger)
    make_folder(final.parent)
    atomic_write_bytes(final, text.encode())
    return TunedSuite(trials, ledger, final)


def _known(ledger: Path) -> dict[str, Trial]:
    """Return the trials of an earlier ledger whose variant behaves today as it did, by run id."""
    today = codes_today()
    trials = read_ledger(ledger) if ledger.is_file() else []
    return {
        trial.run_id: trial
        for trial in trials
        if trial.variant in today and not today[trial.variant].differs(code_of(trial.variant, trial.variant_source))
    }


def _rounds(
    suite: Suite, options: RunOptions, executor: Executor, tell: Callable[[str], None], watch: Watch
) -> Callable[[Sequence[RunSpec]], Mapping[str, str]]:
    """Return the function that runs the trials of one round; it returns the error texts of failed ones by run id."""

    def make(specs: Sequence[RunSpec]) -> Mapping[str, str]:
        errors: dict[str, str] = {}

        @contextmanager
        def watched(plan: Plan, place: Executor) -> Iterator[Listen]:
            minutes = f"about {units.duration(plan.seconds)} of training"
            tell(f"trials of this round: {len(specs)}, done {plan.done}, to do {len(plan.runs)}, {minutes}")
            with watch(plan, place) as listen:

                def hear(event: RunEvent) -> None:
                    listen(event)
                    if event.kind == "failed":
                        errors[event.run.spec.run_id] = event.text

                yield hear

        carry_out(replace(suite, specs=tuple(specs), keep=""), options, executor, watched)
        store = Store(options.results)
        impossible = [text for run_id, text in errors.items() if not store.failed_path(run_id).is_file()]
        if impossible:  # no fault of a setting: the data are not there, say, and no setting may lose for it
            raise StateError(f"{len(impossible)} of {len(specs)} trials cannot be made: {impossible[0]}")
        return errors

    return make


def _check_unseen(suite: Suite, results: Path, final: Path, text: str) -> None:
    """Refuse to choose anew where final runs were made and not retracted: their test accuracies may have been seen."""
    store, path = Store(results), results / SUITES / f"{suite.name}.json"
    if not path.exists() or (final.is_file() and final.read_text() == text):
        return
    retracted = reasons(read_retractions(results))
    seen = [run for run in read_manifest(path).runs if store.has(run) and run not in retracted]
    with TemporaryDirectory() as folder:
        chosen = Path(folder) / final.name
        chosen.write_text(text, encoding="utf-8")
        kept = set(load_suite(str(chosen), suite.sources).run_ids)
    if dropped := [run for run in seen if run not in kept]:
        raise StateError(
            f"{len(dropped)} final runs of suite {suite.name!r} are done (first: {dropped[0][:12]}), so its test set "
            "was used: settings chosen anew would be chosen after seeing it. Tune it under another name (a copy of the "
            f"TOML file), or retract those runs, with the reason, in {results / RETRACTED}; nothing was changed"
        )
