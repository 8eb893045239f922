"""``sambench plan``: what a suite would run, as it is printed before anything starts."""

import shlex
from collections import Counter
from typing import TYPE_CHECKING

import typer

from .. import units
from ..benchmarks.suites.draft import Changes
from ..markdown import count
from ..results.records.record import canonical_json
from .console import facts, out, say
from .executor_options import executor_words, read_executor
from .model_options import made_of_options
from .options import (
    RESULTS,
    DataRoot,
    Keeping,
    Plugins,
    Results,
    Sources,
    SuiteOrVariants,
    open_drafted,
    read_changes,
    results_option,
    run_options,
    typed,
)

if TYPE_CHECKING:
    from ..benchmarks.suites.suite import Suite
    from ..slurm.executor import Executor
    from ..slurm.plan import Plan


@made_of_options(changes=read_changes, executor=read_executor)
def plan(
    changes: Changes,
    executor: "Executor",
    context: typer.Context,
    suite: SuiteOrVariants = None,
    source: Sources = None,
    results: Results = RESULTS,
    plugin: Plugins = None,
    data: DataRoot = None,
    keep: Keeping = "",
) -> None:
    """Print what a suite would run, what it costs and about how long it takes. Starts nothing."""
    from ..slurm.launch import plan_suite

    opened, made = open_drafted(suite, changes, source)
    options = executor.fit(run_options(results, data, plugin, keep=keep))
    print_plan(plan_suite(opened, options, executor), executor)
    kept = () if opened.budget else ("keep",)  # which tune does not take
    words = (made.words if made else shlex.quote(opened.place)) + executor_words(context, *kept)
    words += typed(plugin, source, data) + results_option(results)
    if opened.budget:
        from ..slurm.tuning import plan_trials

        _print_trials(plan_trials(opened, options, executor), executor, words)
    say(f"next: sambench {'tune' if opened.budget else 'launch'} {words}")


def _print_trials(made: "Plan", executor: "Executor", shown: str) -> None:
    """Say what the trials of a suite take that is tuned before its runs are made."""
    budget = made.suite.budget
    assert budget is not None  # it has trials
    say()
    say((f"Its tuning, which comes first: sambench tune {shown}", "bold"))
    more = f" and its best {budget.finalists} at {len(budget.seeds) - 1} more seeds" if len(budget.seeds) > 1 else ""
    rows = [
        ("trials", f"{len(made.runs):,}: {budget.trials} settings of every method on every track,{more}".rstrip(",")),
        ("gradient evaluations", f"about {made.gradient_evaluations:,.0f}, at default settings and full budgets"),
        ("training time, one after the other", units.duration(made.seconds)),
        *executor.describe(made),
    ]
    out.print(facts(rows))


def print_plan(made: "Plan", executor: "Executor") -> None:
    """Say what a plan runs, costs and takes where it would be carried out."""
    say((made.suite.title, "bold"))
    if made.suite.description:
        say(made.suite.description)
    rows = [("runs in the suite", str(len(made.suite.specs))), ("already in the store", str(made.done))]
    if made.outdated:
        rows.append(("made with other code", f"{made.outdated}; `sambench launch --anew` makes them again"))
    if made.elsewhere:
        rows.append(("under way already", str(made.elsewhere)))
    rows += [
        ("to do", str(len(made.runs))),
        ("gradient evaluations", f"{made.gradient_evaluations:,.0f}"),
        ("training time, one after the other", units.duration(made.seconds)),
        *executor.describe(made),
        *([("kept models", units.size(made.model_bytes))] if made.model_bytes else []),
        ("smallest difference that shows", _detectable(made.suite)),
    ]
    rows += [("estimated from", basis) for basis in made.basis]
    out.print(facts(rows))


def _detectable(suite: "Suite") -> str:
    """Say what the seeds of a suite can show: the smallest difference of two methods that is found in 4 of 5 cases.

    It is what the board's intervals find, with the fewest seeds of any method: within the seed where there are enough.
    """
    methods = Counter(canonical_json({**spec.model_dump(mode="json"), "seed": None}) for spec in suite.specs)
    fewest = min(methods.values(), default=0)
    from ..results.statistics.intervals import detectable_difference
    from ..results.statistics.pairs import LEAST_PAIRS, LEAST_RUNS, detectable_within_seed

    if fewest < LEAST_RUNS:
        return f"{count(fewest, 'seed')} a method {'shows' if fewest == 1 else 'show'} no difference; plan at least 3"
    if fewest < LEAST_PAIRS:
        found = f"{detectable_difference(fewest):.1f} standard deviations between seeds"
    else:
        found = f"{detectable_within_seed(fewest):.1f} standard deviations of the difference within a seed"
    return f"{found}, with {fewest} seeds a method (80 % power, 5 % level)"
