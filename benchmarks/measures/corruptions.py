"""Accuracy on corrupted images."""

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.attack import IMAGES, LEVELS, is_right
from ..measuring.corruption import CORRUPTIONS, SEVERITIES, corrupt
from ..measuring.registry import Found, measure
from ..measuring.subject import Subject
from ..training.evaluation import BATCH


@measure(
    "corruptions",
    "accuracy on corrupted images: eight kinds at five severities, ours",
    group="robust",
    settings={"noise_seed": Hyper(0, "of the random corruptions", low=0), **IMAGES},
    values={
        "accuracy": "mean over kinds and severities",
        "clean_accuracy": "on the images as they are, in float32",
        **{
            kind: f"mean over the severities. {(function.__doc__ or '').strip()}"
            for kind, function in CORRUPTIONS.items()
        },
        "severities": "mean over the kinds, severity by severity",
    },
    paper="Hendrycks & Dietterich 2019, arXiv 1903.12261 (the kinds; severities are ours, values not comparable)",
)
def corruptions(subject: Subject, *, noise_seed: int, samples: int, sample_seed: int) -> Found:
    """Measure the accuracy on the reported part under every corruption at every severity."""
    images, labels = subject.sample("reported", samples, sample_seed)
    classifier = subject.classifier
    right: dict[tuple[str, int], int] = {}
    clean = 0
    for number, (part, expected) in enumerate(zip(images.split(BATCH), labels.split(BATCH), strict=True)):
        given, expected = part.to(subject.device).float() / LEVELS, expected.to(subject.device)
        clean += int(is_right(classifier, given, expected).sum())
        for order, kind in enumerate(CORRUPTIONS):
            for severity in range(1, SEVERITIES + 1):
                random = generator("measure corruption", noise_seed, number, order, severity)
                found = is_right(classifier, corrupt(given, kind, severity, random), expected)
                right[kind, severity] = right.get((kind, severity), 0) + int(found.sum())
    shares = {key: count / len(labels) for key, count in right.items()}
    return {
        "accuracy": sum(shares.values()) / len(shares),
        "clean_accuracy": clean / len(labels),
        **{kind: sum(shares[kind, s] for s in range(1, SEVERITIES + 1)) / SEVERITIES for kind in CORRUPTIONS},
        "severities": [
            sum(shares[kind, s] for kind in CORRUPTIONS) / len(CORRUPTIONS) for s in range(1, SEVERITIES + 1)
        ],
    }
