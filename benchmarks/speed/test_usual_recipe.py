"""A SAM run end to end from Parquet, against the usual recipe: both read the same files, both are timed in turns.

    pytest benchmarks/speed/test_usual_recipe.py --benchmark-only -s

The usual recipe: images decoded by PIL and transformed by torchvision in a DataLoader with 2 workers, PyPI's
``unifiedsam`` (lam = 1 is SAM), fp32, contiguous layout. ``SAMBENCH_SPEED_DATA`` may name a folder of CIFAR-10 in
Parquet (``train-*.parquet`` and ``test-*.parquet`` in the hub layout); without it the files hold ten easy classes of
generated images, which show the same time and say less about accuracy.
"""

import glob
import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import stats
from torchvision import transforms
from unifiedsam import unifiedSAM

from sambench.benchmarks.models import build
from sambench.benchmarks.precision import best_precision
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.evaluation import measure, predict
from sambench.benchmarks.training.loop import train
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load

pytestmark = pytest.mark.timeout(0)
CPU = torch.device("cpu")
PRECISION = best_precision(CPU)
TRAIN, BATCH, EPOCHS, SEEDS = 2560, 128, 5, 3
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def shard(path, images, labels):
    pq.write_table(pa.table({"img": [{"bytes": content, "path": None} for content in images], "label": labels}), path)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image.numpy()).save(buffer, format="PNG")
    return buffer.getvalue()


def generated(count, seed):
    """Ten classes of smooth colour patterns under noise: uint8 (count, 32, 32, 3) and labels."""
    patterns = torch.randn(10, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 10
    rng = torch.Generator().manual_seed(seed)
    clean = F.interpolate(patterns, size=32, mode="bilinear")[labels]
    noisy = 128 + 30 * clean + 60 * torch.randn(clean.shape, generator=rng)
    return noisy.clamp(0, 255).byte().permute(0, 2, 3, 1), labels.tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The first images of each part, so that both sides read the same few."""
    to = tmp_path_factory.mktemp("parquet")
    given = os.environ.get("SAMBENCH_SPEED_DATA")
    for part, count, seed in (("train", TRAIN, 1), ("test", 2000, 2)):
        if given:
            paths = sorted(glob.glob(f"{given}/{part}-*.parquet"))
            table = pa.concat_tables(pq.read_table(path, columns=["img", "label"]) for path in paths)
            pq.write_table(table.slice(0, count), to / f"{part}-0.parquet")
        else:
            images, labels = generated(count, seed)
            shard(to / f"{part}-0.parquet", map(png, images), labels)
    return to


class Images(torch.utils.data.Dataset):
    """Rows of a Parquet file, decoded and transformed one by one as they are asked for."""

    def __init__(self, path, transform):
        table = pq.read_table(path)
        self.images, self.labels = table["img"].to_pylist(), table["label"].to_pylist()
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.transform(Image.open(io.BytesIO(self.images[i]["bytes"])).convert("RGB")), self.labels[i]


def usual(folder, seed, epochs, rho=0.05):
    """Train by the usual recipe and return the model."""
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
            transforms.RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0)),
        ]
    )
    torch.manual_seed(seed)
    images = Images(folder / "train-0.parquet", transform)
    loader = torch.utils.data.DataLoader(images, BATCH, shuffle=True, num_workers=2, drop_last=True)
    model = build("wrn16_1", classes=10, channels=3, image_size=32, norm="batch", seed=seed)
    optimizer = unifiedSAM(
        model.parameters(), torch.optim.SGD, rho=rho, lambd=1.0, lr=0.1, momentum=0.9, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer.base_optimizer, epochs * len(loader))
    for _ in range(epochs):
        for inputs, labels in loader:
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.first_step(zero_grad=True)
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.second_step(zero_grad=True)
            schedule.step()
    return model


def ours(folder, seed, epochs, tmp_path):
    """Train by the harness and return the model."""
    dataset = load(f"parquet:{folder}", name="speed", cache=tmp_path / f"cache-{len(list(tmp_path.iterdir()))}")
    spec = make_spec(
        {
            "variant": "sam",
            "hyper": {"rho": 0.05},
            "dataset": "speed",
            "model": "wrn16_1",
            "batch_size": BATCH,
            "augment": "crop:4,flip,cutout:16",
            "precision": PRECISION,
            "epochs": epochs,
            "seed": seed,
        }
    )
    run = TrainState(spec, dataset, CPU)
    train(run, Checkpoints(tmp_path / "checkpoints", spec.run_id, dataset.fingerprint, seconds=1e9))
    return run.model


def test_a_sam_epoch_from_parquet(folder, compare, tmp_path):
    """One epoch with everything that a first run does: reading, decoding (nothing is cached), building, training."""
    compare(
        f"(b) a sam epoch of {TRAIN // BATCH} steps from Parquet, {PRECISION}, against the usual recipe",
        lambda: ours(folder, 0, 1, tmp_path),
        lambda: usual(folder, 0, 1),
        rounds=3,
    )


def test_both_recipes_reach_the_same_accuracy(folder, benchmark, capsys, tmp_path):
    """Test accuracy after a short run, a few seeds each; Welch's interval of the difference holds zero."""
    data = load(f"parquet:{folder}", name="speed", cache=tmp_path / "cache")

    def accuracy(model):
        return measure(
            predict(model, data.test_images, data.mean, data.std, precision="fp32"), data.test_labels
        ).accuracy

    def both():
        recipes = (lambda seed: ours(folder, seed, EPOCHS, tmp_path), lambda seed: usual(folder, seed, EPOCHS))
        return [[accuracy(train_by(seed)) for seed in range(SEEDS)] for train_by in recipes]

    mine, theirs = benchmark.pedantic(both, rounds=1, iterations=1)
    interval = stats.ttest_ind(mine, theirs, equal_var=False).confidence_interval()
    benchmark.extra_info |= {"ours": mine, "other": theirs}
    with capsys.disabled():
        print(f"\n(b) accuracy after {EPOCHS} epochs: {mine} against {theirs}")
        print(f"    difference: 95 % interval {interval.low:+.3f} to {interval.high:+.3f}")
    assert interval.low <= 0 <= interval.high
