"""The search: equally many trials of every method at one seed, more seeds for its best ones, and one setting wins."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError, StateError
from ...results.records.record import RunRecord, canonical_json
from ...results.records.store import Store
from ...results.records.trials import Trial, check_budgets, choose
from ...variants import get_info
from ..spec import RunSpec
from ..suites.entries import Entry, ResolvedTrack
from ..suites.suite import Suite
from ..suites.tracks import fit
from ..suites.tuning_budget import SHARED, Budget
from .space import Axis, point_of, space_of, values_at
from .strategies import SearchStrategy, Settings, Tried

RunSpecs = Callable[[Sequence[RunSpec]], Mapping[str, str]]
"""Makes the runs that the store lacks; returns, by run id, what went wrong with those that failed."""

Keep = Callable[[str, str, Sequence[Axis], Sequence[tuple[Trial, Settings]]], None]
"""Takes a method, a track, the axes of the method's space, and its trials with their settings."""

Ledger = dict[tuple[str, str], list[Trial]]


@dataclass(frozen=True)
class TunedEntry:
    """A method on a track: what is tuned."""

    one: Entry
    track: ResolvedTrack

    @property
    def key(self) -> tuple[str, str]:
        """Name of the method and of the track: unique in a suite."""
        return self.one.method, self.track.name

    def spec(self, settings: Settings, seed: int) -> RunSpec:
        """Return the trial of a setting: trained on nine tenths of the training set, measured on the last one."""
        shared = {key: settings[key] for key in SHARED if key in settings}
        own = {key: value for key, value in settings.items() if key not in (*SHARED, "epochs")}
        hyper = {**self.one.fields["hyper"], **own}
        fields = {**self.one.fields, **shared, "hyper": hyper, "split": "search", "seed": seed}
        return fit(fields, self.track.name, self.track.budget, share=float(settings.get("epochs", 1.0)))


@dataclass(frozen=True)
class Attempt:
    """One trial before it is made."""

    tuned: TunedEntry
    stage: str
    number: int
    spec: RunSpec


def tuned_entries(suite: Suite) -> list[TunedEntry]:
    """Return what is tuned of a suite: every method on every track but T, whose runs take the settings of another.

    Raises:
        ConfigError: the suite has no budget, or no track to tune on.
    """
    if suite.budget is None:
        raise ConfigError(f"suite {suite.name!r} has no budget to tune with: write a table [tuning] with trials = ...")
    found = [
        TunedEntry(one, track)
        for track in suite.resolved_tracks
        if track.name != "T"
        for one in suite.entries
        if one.track in (None, track.name) and not one.reference
    ]
    if suite.budget.epochs and any(track.name == "T" for track in suite.resolved_tracks):
        raise ConfigError("[tuning] epochs is not valid with track T, whose epochs a calibration sets; leave one out")
    if not found:
        raise ConfigError(f"suite {suite.name!r} has no track to tune on: write tracks = ['G'], or ['E', 'G']")
    tuned = {entry.one.method for entry in found}
    if left := [one.method for one in suite.entries if not one.reference and one.method not in tuned]:
        raise ConfigError(f"nothing tunes {', '.join(left)}, on track T only: let each be on track E or G, too")
    return found


def tune(
    suite: Suite,
    store: Store,
    strategy: SearchStrategy,
    run: RunSpecs,
    known: Mapping[str, Trial] | None = None,
    keep: Keep | None = None,
) -> list[Trial]:
    """Spend the budget of a suite and choose a setting for every method on every track.

    Trials are ordinary runs: what the store or an earlier ledger has is not made again, so that the same call resumes,
    and a method that is added or corrected is tuned alone.

    Args:
        suite: a suite whose file has a table ``[tuning]``.
        store: results folder of the trials; not that of the final runs.
        strategy: what proposes settings. Setting 0 is the default one, for every method.
        run: trains the runs that it is given and returns the error texts of failed ones.
        known: run id -> trial that was made before, by the code of today.
        keep: is given the trials of every method after each round, with their settings.

    Returns:
        Every trial: screened ones, then those of the finalists at the other seeds; the chosen ones are marked.

    Raises:
        StateError: trials have no result, or no setting of some method came to an end.
    """
    everyone, budget = tuned_entries(suite), suite.budget
    assert budget is not None  # tuned_entries() refuses a suite without
    screened: Ledger = {who.key: [] for who in everyone}
    numbers = range(budget.trials)
    for some in ([n] for n in numbers) if strategy.sequential else [numbers]:
        attempts = [attempt for who in everyone for attempt in _screen(who, some, screened[who.key], strategy, budget)]
        _make(suite, store, strategy, run, attempts, screened, known or {})
        _keep(everyone, screened, budget, keep)
    confirmed: Ledger = {who.key: [] for who in everyone}
    attempts = [attempt for who in everyone for attempt in _confirm(who, screened[who.key], budget)]
    _make(suite, store, strategy, run, attempts, confirmed, known or {})
    _keep(everyone, confirmed, budget, keep)
    trials = [trial for who in everyone for trial in _mark(who, screened[who.key] + confirmed[who.key], budget)]
    check_budgets(trials)
    return trials


def _keep(everyone: Sequence[TunedEntry], made: Ledger, budget: Budget, keep: Keep | None) -> None:
    if keep is None:
        return
    for who in everyone:
        axes = space_of(who.one, budget)
        keep(*who.key, axes, [(trial, _settings(who, trial, axes)) for trial in made[who.key]])


def finalists(screened: Sequence[Trial], count: int) -> list[int]:
    """Return the numbers of the best settings, best first; of equal ones the first tried."""
    ranked = sorted(screened, key=lambda trial: (*(-value for value in trial.score), trial.trial))
    return [trial.trial for trial in ranked[:count]]


def _screen(
    who: TunedEntry, numbers: Sequence[int], so_far: Sequence[Trial], strategy: SearchStrategy, budget: Budget
) -> Iterator[Attempt]:
    axes = space_of(who.one, budget)
    tried = [Tried(_settings(who, trial, axes), trial.score[0]) for trial in so_far]
    for number in numbers:
        settings = values_at(axes, strategy.propose(axes, number, tried), who.one.fields["hyper"]) if number else {}
        yield Attempt(who, "screen", number, who.spec(settings, budget.seeds[0]))


def _confirm(who: TunedEntry, screened: Sequence[Trial], budget: Budget) -> Iterator[Attempt]:
    specs = {trial.trial: RunSpec.model_validate_json(trial.spec) for trial in screened}
    for number in finalists(screened, budget.finalists):
        for seed in budget.seeds[1:]:
            yield Attempt(who, "confirm", number, specs[number].model_copy(update={"seed": seed}))


def _settings(who: TunedEntry, trial: Trial, axes: Sequence[Axis]) -> Settings:
    return point_tried(who, RunSpec.model_validate_json(trial.spec), axes)


def point_tried(who: TunedEntry, spec: RunSpec, axes: Sequence[Axis]) -> Settings:
    """Return where a trial lies in the space of its method."""
    shared = {name: getattr(spec, name) for name in SHARED}
    share = spec.epochs / who.spec({**spec.hyper, **shared}, spec.seed).epochs  # of those that this setting may use
    return point_of(axes, {**spec.hyper, **shared, "epochs": share})


def _make(
    suite: Suite,
    store: Store,
    strategy: SearchStrategy,
    run: RunSpecs,
    attempts: Sequence[Attempt],
    into: Ledger,
    known: Mapping[str, Trial],
) -> None:
    specs = {attempt.spec.run_id: attempt.spec for attempt in attempts if attempt.spec.run_id not in known}
    errors = run(list(specs.values()))
    missing = [key for key in specs if not store.has(key) and key not in errors]
    if missing:
        raise StateError(f"{len(missing)} of {len(specs)} trials have no result yet; the same command resumes")
    for attempt in attempts:
        run_id = attempt.spec.run_id
        if run_id in known:
            into[attempt.tuned.key].append(known[run_id].model_copy(update=_place(suite, strategy, attempt)))
            continue
        record = store.read(run_id) if store.has(run_id) else None
        into[attempt.tuned.key].append(_trial(suite, strategy, attempt, record, errors.get(run_id)))


def _place(suite: Suite, strategy: SearchStrategy, attempt: Attempt) -> dict[str, Any]:
    """Return what an attempt is in this search, whenever its run was made."""
    tuned = {"track": attempt.tuned.track.name, "method": attempt.tuned.one.method, "search": strategy.name}
    place = {"suite": suite.name, "stage": attempt.stage, "trial": attempt.number, "chosen": False, "edges": ""}
    return tuned | place


def _trial(
    suite: Suite, strategy: SearchStrategy, attempt: Attempt, record: RunRecord | None, error: str | None
) -> Trial:
    spec, metrics = attempt.spec, record and record.metrics
    return Trial.model_validate(
        {
            **_place(suite, strategy, attempt),
            "variant": spec.variant,
            "seed": spec.seed,
            "run_id": spec.run_id,
            "status": record.status if record else "failed",
            "error": record.error if record else error,
            "accuracy": metrics.accuracy if metrics else None,
            "loss": metrics.loss if metrics else None,
            "lr": spec.lr,
            "weight_decay": spec.weight_decay,
            "hyper": canonical_json(spec.hyper),
            "epochs": spec.epochs,
            "gradient_evaluations": record.counters.gradient_evaluations if record else 0.0,
            "train_seconds": record.timing.train_seconds if record else 0.0,
            "variant_source": record.variant_source if record else get_info(spec.variant).source_hash(),
            "dataset_fingerprint": record.dataset_fingerprint if record else "",
            "spec": canonical_json(spec.model_dump(mode="json")),
        }
    )


def _mark(who: TunedEntry, trials: Sequence[Trial], budget: Budget) -> list[Trial]:
    best, axes = choose(trials), space_of(who.one, budget)
    settings = next(_settings(who, trial, axes) for trial in trials if trial.trial == best)
    edges = [f"{axis.name} ({edge})" for axis in axes if (edge := axis.edge(settings[axis.name]))]
    mark = {"chosen": True, "edges": ", ".join(edges)}
    return [trial.model_copy(update=mark) if trial.trial == best else trial for trial in trials]
