"""Tuning a suite: the search of ``benchmarks/tuning`` with its trials made by an executor, and what is kept of it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .. import units
from ..atomic import atomic_write_bytes, make_folder
from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.suite import Suite, expand_suite
from ..benchmarks.training.behaviour import codes_today
from ..benchmarks.training.made_with import retire_outdated
from ..benchmarks.tuning.optuna_study import ENDING, StudyFile
from ..benchmarks.tuning.search import tune, tuned_entries
from ..benchmarks.tuning.strategies import Optuna, SearchStrategy
from ..benchmarks.tuning.tuned_suite import final_suite
from ..errors import Interrupted, StateError
from ..reading import parse_toml
from ..results.records.behaviour import code_of
from ..results.records.manifest import FOLDER as SUITES
from ..results.records.manifest import read_manifest
from ..results.records.place import command, results_option
from ..results.records.retractions import RETRACTED, read_retractions, reasons
from ..results.records.store import Store
from ..results.records.trials import FOLDER as LEDGERS
from ..results.records.trials import TRIALS, Trial, read_ledger, write_ledger
from .events import Listen, RunEvent
from .executor import Executor, SlurmExecutor
from .launch import Watch, carry_out, plan_suite, silent
from .local import signals_as_interrupts
from .options import RunOptions
from .plan import Plan
from .run_status import RunStatus
from .status import run_statuses

Look = Callable[[], Sequence[RunStatus]]
Wait = Callable[[Look], Sequence[RunStatus]]
"""Waits for jobs: looks at their runs until none is being made any more, and returns what the last look found."""
POLL_SECONDS = 5.0
"""Seconds between two looks at what jobs have made of the trials of a round."""
MOST_ATTEMPTS = 3
"""How often trials are submitted whose jobs ended without a result: a dead node is no fault of a setting."""


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
    wait: Wait | None = None,
) -> TunedSuite:
    """Choose hyper-parameters for every method of a suite under one budget; write the ledger and the suite to launch.

    Args:
        suite: a suite whose file has a table ``[tuning]``.
        options: results folder of the final runs, data and plug-ins.
        strategy: proposes the settings of the trials.
        executor: where the trials are run.
        tell: is given a line of text about every round of trials.
        watch: is given the plan of every round; as in :func:`~sambench.slurm.launch.launch_suite`.
        wait: waits for the jobs of a round on a cluster, and may show them; by default :func:`wait_for_jobs`.

    Raises:
        ConfigError: the suite has no budget, or no track to tune on.
        Interrupted: a signal came; the same call resumes.
        StateError: trials cannot be made or have no result (the same call resumes), or final runs were made with other
            settings.
    """
    with signals_as_interrupts():
        try:
            return _tune_suite(suite, options, strategy, executor, tell, watch, wait or wait_for_jobs)
        except KeyboardInterrupt:  # where no trial is made
            raise Interrupted("between two rounds of trials") from None


def _tune_suite(
    suite: Suite,
    options: RunOptions,
    strategy: SearchStrategy,
    executor: Executor,
    tell: Callable[[str], None],
    watch: Watch,
    wait: Wait,
) -> TunedSuite:
    tuned_entries(suite)
    results = options.results
    store = Store(results / TRIALS)
    store.check_writable()
    options = replace(options, results=store.root)
    ledger, final = results / LEDGERS / f"{suite.name}.parquet", results / SUITES / f"{suite.name}.toml"
    known = _known(ledger)
    rounds = _rounds(suite, options, executor, tell, watch, wait)
    study = StudyFile(ledger.with_suffix(ENDING)).keep if strategy.name == Optuna.name else None
    trials = tune(suite, store, strategy, rounds, known, study)
    make_folder(final.parent)
    candidate = ledger.with_suffix(f".{os.getpid()}.new")
    try:
        digest = write_ledger(trials, candidate)
        text = final_suite(suite, trials, ledger.name, digest, final.parent)
        written = expand_suite(suite.name, parse_toml(text), final.parent.absolute(), suite.sources, str(final))
        _check_unseen(suite, results, final, text, set(written.run_ids))
        candidate.replace(ledger)
    finally:
        candidate.unlink(missing_ok=True)
    atomic_write_bytes(final, text.encode())
    return TunedSuite(trials, ledger, final)


def plan_trials(suite: Suite, options: RunOptions, executor: Executor) -> Plan:
    """Return a plan of all trials of a suite, made ones included, each with the cost of its method's default setting.

    A method that may search less epochs than its budget is planned with all of them. Writes nothing.

    Raises:
        ConfigError: the suite has no budget, or no track to tune on.
    """
    everyone, budget = tuned_entries(suite), suite.budget
    assert budget is not None  # tuned_entries() refuses a suite without
    number = budget.trials + budget.finalists * (len(budget.seeds) - 1)
    # A seed that no trial has leaves all to do; trials of the first seed tell, where they are done, how fast it goes.
    specs = [who.spec({}, seed) for who in everyone for seed in (max(budget.seeds) + 1, budget.seeds[0])]
    options = executor.fit(replace(options, results=options.results / TRIALS, keep=""))
    once = plan_suite(replace(suite, specs=tuple(specs), keep=""), options, executor)
    cost = {run.spec.run_id: run for run in once.runs}
    runs = [cost[who.spec({}, max(budget.seeds) + 1).run_id] for who in everyone for _ in range(number)]
    bytes_ = once.record_bytes // max(1, len(once.runs)) * len(runs)
    return replace(once, runs=tuple(runs), done=0, elsewhere=0, record_bytes=bytes_)


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
    suite: Suite, options: RunOptions, executor: Executor, tell: Callable[[str], None], watch: Watch, wait: Wait
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

        store, round_ = Store(options.results), replace(suite, specs=tuple(specs), keep="")
        retire_outdated(((spec, suite.source(spec)) for spec in specs), store)  # trials of one code are compared
        for attempt in range(1, MOST_ATTEMPTS + 1):
            carry_out(round_, options, executor, watched)
            left = [] if executor.name != SlurmExecutor.name else _left_by_jobs(round_, store, wait)
            errors |= {s.run_id: s.text for s in left if s.state == "failed"}
            lost = [s for s in left if s.state not in ("failed", "cancelled")]
            if not lost:
                break
            what = f"{len(lost)} of {len(specs)} trials were lost: {lost[0].text or 'without a job'}"
            if attempt == MOST_ATTEMPTS:
                log = f"`sambench logs {lost[0].run_id[:12]}{results_option(options.results)}`"
                raise StateError(f"{what}, {attempt} times now; {log} shows why, and the same command resumes")
            tell(f"{what}; submitting them again")
        errors = {run_id: text for run_id, text in errors.items() if not store.has(run_id)}
        impossible = [text for run_id, text in errors.items() if not store.failed_path(run_id).is_file()]
        if impossible:  # no fault of a setting: the data are not there, say, and no setting may lose for it
            raise StateError(f"{len(impossible)} of {len(specs)} trials cannot be made: {impossible[0]}")
        return errors

    return make


def wait_for_jobs(look: Look) -> Sequence[RunStatus]:
    """Wait until no job makes or will make a run, or an interrupt; return what the last look found."""
    found: Sequence[RunStatus] = ()
    with suppress(KeyboardInterrupt):
        found = look()
        while any(s.alive for s in found):
            time.sleep(POLL_SECONDS)
            found = look()
    return found


def _left_by_jobs(round_: Suite, store: Store, wait: Wait) -> list[RunStatus]:
    """Wait for the jobs of a round; return the trials that they left without a result.

    Raises:
        Interrupted: waiting was; the jobs go on.
    """
    found = wait(lambda: run_statuses(round_, store))
    if alive := sum(s.alive for s in found):
        take_back = command("cancel", round_.place, store.root)
        raise Interrupted(f"the jobs of {alive} trials go on without this command, `{take_back}` ends them")
    return [s for s in found if s.state not in ("done", "diverged")]


def _check_unseen(suite: Suite, results: Path, final: Path, text: str, chosen: set[str]) -> None:
    """Refuse to choose anew where final runs were made and not retracted: their test accuracies may have been seen."""
    store, path = Store(results), results / SUITES / f"{suite.name}.json"
    if not path.exists() or (final.is_file() and final.read_text() == text):
        return
    retracted = reasons(read_retractions(results))
    seen = [run for run in read_manifest(path).runs if store.has(run) and run not in retracted]
    if dropped := [run for run in seen if run not in chosen]:
        raise StateError(
            f"{len(dropped)} final runs of suite {suite.name!r} are done (first: {dropped[0][:12]}), so its test set "
            "was used: settings chosen anew would be chosen after seeing it. Tune it under another name (a copy of the "
            f"TOML file), or retract those runs, with the reason, in {results / RETRACTED}; nothing was changed"
        )
