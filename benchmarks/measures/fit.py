"""How well the training data are fitted, and what of it carries over to the reported data."""

from torch import Tensor

from ..measuring.registry import Found, measure
from ..measuring.subject import Subject
from ..training.evaluation import measure as compare


@measure(
    "fit",
    "accuracy and loss on the training data without augmentation, and the generalization gap",
    group="predictions",
    settings={},
    values={
        "train_accuracy": "share of training samples whose given label is predicted",
        "train_loss": "mean negative log-likelihood of the given labels, nats",
        "accuracy": "share that is right of the part that the record reports",
        "gap": "train_accuracy - accuracy",
        "loss_gap": "loss of the reported part - train_loss, nats",
        "clean_accuracy": "train_accuracy of the samples whose label is the true one",
        "noisy_accuracy": "share of the samples with a wrong label whose wrong label is predicted: memorized; "
        "missing without label noise",
        "corrected_accuracy": "share of these whose true label is predicted; missing without label noise",
    },
    paper="Zhang et al. 2016, arXiv 1611.03530; Foret et al. 2020, arXiv 2010.01412",
)
def fit(subject: Subject) -> Found:
    """Compare the predictions with given and true training labels, and with the reported part."""
    parts = subject.parts
    logits = subject.predict(parts.train_images).cpu()
    train, predicted = compare(logits, parts.train_labels), logits.argmax(1)
    images, labels = subject.sample("reported", 0, 0)
    reported = compare(subject.predict(images), labels)
    true = subject.dataset.train_labels[parts.train_ids]
    wrong = parts.train_labels != true
    return {
        "train_accuracy": train.accuracy,
        "train_loss": train.loss,
        "accuracy": reported.accuracy,
        "gap": train.accuracy - reported.accuracy,
        "loss_gap": reported.loss - train.loss,
        "clean_accuracy": _share(predicted == parts.train_labels, ~wrong),
        "noisy_accuracy": _share(predicted == parts.train_labels, wrong),
        "corrected_accuracy": _share(predicted == true, wrong),
    }


def _share(right: Tensor, among: Tensor) -> float:
    return float(right[among].double().mean())  # NaN, which is missing, among none
