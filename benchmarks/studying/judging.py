"""The judgement of studies: what each predicted, what the runs of a store say of it, or why nothing can be said."""

from dataclasses import dataclass

from ...errors import ConfigError, SambenchError
from ...results.records.record import RunRecord
from ...results.records.store import Store
from ...results.tables.boards import Boards
from ..suites.suite import read_predictions
from .evidence import Evidence, MissingError
from .registry import STUDIES, Finding, Study

WORDS = {
    "supported": "supported here",
    "contradicted": "contradicted here",
    "undecided": "undecided",
}
NOT_RUN = "not run yet"
NOT_JUDGED = "cannot be judged"


@dataclass(frozen=True)
class Judgement:
    """What is said of a study.

    Attributes:
        study: the study.
        prediction: what it predicted: as the manifest of its runs keeps it, where there is none as its suite says it.
        registered: whether a manifest keeps it, with the time at which it was written.
        finding: what its runs say; ``None`` where they are not all there, or cannot be judged.
        verdict: the outcome in words, or why there is none in two or three.
        reason: why there is none, as a sentence; empty where there is one.
        diverged: the rows with runs that diverged, such as ``sgd (2 of 10)``.
    """

    study: Study
    prediction: str
    registered: bool
    finding: Finding | None
    verdict: str
    reason: str = ""
    diverged: tuple[str, ...] = ()


def judge_all(boards: Boards) -> list[Judgement]:
    """Judge all studies by the tables of a store, in the order of their names."""
    return [judge(one, Evidence(boards, one.suite)) for one in STUDIES.all()]


def judge(one: Study, evidence: Evidence) -> Judgement:
    """Judge one study."""
    manifest = evidence.board.manifest if evidence.board else None
    kept = manifest.predictions.get(one.name) if manifest and manifest.registered is not None else None
    predicted = kept or prediction(one, one.scaled if evidence.at_scale else one.place)
    try:
        finding = one.function(evidence)
    except SambenchError as error:
        words = NOT_RUN if isinstance(error, MissingError) else NOT_JUDGED
        return Judgement(one, predicted, bool(kept), None, words, str(error))
    diverged = tuple(f"{row} ({count})" for row, count in evidence.diverged.items())
    return Judgement(one, predicted, bool(kept), finding, WORDS[finding.outcome], diverged=diverged)


def precedes(evidence: Evidence, store: Store) -> bool:
    """Tell whether the predictions of a suite are known to have been written before every run of it that is there."""
    manifest = evidence.board.manifest if evidence.board else None
    made = store.scan(manifest.runs) if manifest else ()
    began = {one.run_id: one.timing.began for one in made if isinstance(one, RunRecord)}
    return manifest is not None and not manifest.not_after_predictions(began)


def prediction(one: Study, place: str = "") -> str:
    """Return what a study predicts.

    Args:
        one: the study.
        place: the suite that says it; by default the one whose runs decide here.

    Raises:
        ConfigError: the suite has no prediction of this study.
    """
    predictions = read_predictions(place or one.place)
    if one.name not in predictions:
        raise ConfigError(f"suite {one.suite!r} has no prediction of study {one.name!r}: write it under [predictions]")
    return predictions[one.name]
