"""The judgement of studies: what each predicted, what the runs of a store say of it, or why nothing can be said."""

from dataclasses import dataclass

from ...errors import ConfigError, SambenchError
from ...results.tables.boards import Boards
from ..suites.suite import load_suite
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
    predicted = kept or prediction(one)
    try:
        finding = one.function(evidence)
    except SambenchError as error:
        words = NOT_RUN if isinstance(error, MissingError) else NOT_JUDGED
        return Judgement(one, predicted, bool(kept), None, words, str(error))
    diverged = tuple(f"{row} ({count})" for row, count in evidence.diverged.items())
    return Judgement(one, predicted, bool(kept), finding, WORDS[finding.outcome], diverged=diverged)


def prediction(one: Study) -> str:
    """Return what a study predicts, as its suite says it.

    Raises:
        ConfigError: the suite has no prediction of this study.
    """
    predictions = load_suite(one.place).predictions
    if one.name not in predictions:
        raise ConfigError(f"suite {one.suite!r} has no prediction of study {one.name!r}: write it under [predictions]")
    return predictions[one.name]
