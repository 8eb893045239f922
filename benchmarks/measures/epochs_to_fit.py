"""How long it takes until the training labels are fitted, from the curve of the record."""

from ...hyper import Hyper
from ...results.records.record import RunRecord
from ..measuring.registry import Found, NotApplicable, measure


@measure(
    "epochs_to_fit",
    "epochs until the given training labels are predicted",
    group="record",
    settings={"accuracy": Hyper(0.99, "share of the labels, of true and of wrong ones alike", low=0, high=1)},
    values={
        "epochs": "until then, as far as the run was measured; all of the run where it never comes to it",
        "fitted": "1 if it does, else 0",
    },
    paper="Zhang et al. 2016, arXiv 1611.03530",
    of_record=True,
)
def epochs_to_fit(record: RunRecord, *, accuracy: float) -> Found:
    """Find the first measured epoch at which this share of the true and of the wrong labels is predicted.

    Runs measure it with label noise, random labels or moved pixels, every ``eval_every`` epochs.
    """
    curve = ((point.epoch, (point.train_accuracy_clean, point.train_accuracy_corrupted)) for point in record.curve)
    measured = {epoch: known for epoch, both in curve if (known := [share for share in both if share is not None])}
    if not measured:
        raise NotApplicable("the run did not measure how many training labels it predicts")
    fitted = [epoch for epoch, known in measured.items() if min(known) >= accuracy]
    return {"epochs": min(fitted, default=record.curve[-1].epoch), "fitted": int(bool(fitted))}
