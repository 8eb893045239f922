"""Names to data sets: every named source, the names that records will carry, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sambench
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.training.run import run_spec
from sambench.datasets import DATASETS, Augmentation, list_datasets, load
from sambench.datasets.registry import check_name, official_fingerprints
from sambench.datasets.source import Source
from sambench.errors import ConfigError, DataError
from sambench.results.records.store import Store

from .builders import encode, pixels, write_parquet

RESULTS = Path(sambench.__file__).parent / "results"


def small_parquet(folder: Path) -> Path:
    for part, seed in (("train", 0), ("test", 1)):
        images = [encode(image) for image in pixels(6, (5, 5, 3), seed)]
        write_parquet(folder / f"{part}-0.parquet", images, [0, 1, 2, 0, 1, 2])
    return folder


def test_every_source_is_described() -> None:
    names = [info.name for info in list_datasets()]
    assert names == [
        *("cifar10", "cifar100", "digits", "fashion_mnist", "imagefolder:DIR", "imagefolder{size}:DIR"),
        *("parquet:DIR", "svhn", "tiny_imagenet"),
    ]


@pytest.mark.parametrize("info", list_datasets(), ids=lambda info: info.name)
def test_default_recipes_are_canonical_and_fit(info) -> None:
    augmentation = Augmentation.parse(info.augment)
    assert augmentation.recipe == info.augment
    _, height, width = info.shape or (3, 32, 32)
    assert len(augmentation.draw(10, (height, width), seed=0)) == 10


def test_digits_match_their_description_and_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    dataset = load("digits")
    info = next(info for info in list_datasets() if info.name == "digits")
    assert (dataset.shape, len(dataset.classes)) == (info.shape, info.classes)
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (info.train, info.test)
    # The union of both parts is the source, example by example, in 17 evenly spread gray levels.
    everything = torch.cat([dataset.train_images, dataset.test_images]).flatten(1)
    labels = torch.cat([dataset.train_labels, dataset.test_labels])
    found = sorted(zip((everything.double() * 16 / 255).round().int().tolist(), labels.tolist(), strict=True))
    levels, digits = load_digits(return_X_y=True)
    assert found == sorted(zip(levels.astype(int).tolist(), digits.tolist(), strict=True))
    assert everything.max() == 255
    assert dataset.train_labels.bincount(minlength=10).min() > 120
    assert dataset.test_labels.bincount(minlength=10).min() > 20


def test_digits_never_change() -> None:
    assert load("digits").fingerprint == DATASETS.get("digits").fingerprint


def test_the_known_fingerprints_are_those_of_the_committed_records() -> None:
    known = official_fingerprints()
    assert {name for name, one in known.items() if one} == {"cifar10", "digits", "fashion_mnist"}
    found = {(str(r.spec["dataset"]), r.dataset_fingerprint) for r in Store(RESULTS).records()}
    assert {(name, one) for name, one in found if name in known} <= set(known.items())


@pytest.mark.parametrize("changed", ["shape", "classes", "train", "test", "fingerprint"])
def test_what_is_not_as_described_is_refused(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    info = DATASETS.get("digits")
    other = {"shape": (1, 9, 9), "fingerprint": "0" * 64}.get(changed, 3)
    monkeypatch.setitem(DATASETS.members, "digits", replace(info, **{changed: other}))
    with pytest.raises(DataError, match=f"'digits' is other data: {changed} is .*, expected "):
        load("digits")


@pytest.mark.parametrize("name", sorted(official_fingerprints()))
@pytest.mark.parametrize("source", ["digits", "cifar10", "fashion_mnist", "parquet:there", "imagefolder:there"])
def test_a_reserved_name_belongs_to_its_own_source(name: str, source: str, tmp_path: Path) -> None:
    if name == source:
        check_name(name, source)
        return
    reason = f"data set name '{name}' is reserved for the official files; give data from '{source}' another name"
    with pytest.raises(ConfigError, match=reason):
        load(source, name=name)
    spec = make_spec({"dataset": name})
    with pytest.raises(ConfigError, match=reason):
        run_spec(spec, Store(tmp_path), source=Source(name, source))
    suite = tmp_path / "s.toml"
    suite.write_text(f'[sources]\n{name} = "{source}"\n[[runs]]\nvariant = "sgd"\n')
    with pytest.raises(ConfigError, match=f"data set name '{name}' is reserved"):
        load_suite(str(suite))


def test_the_name_of_a_folder_is_the_default_name(tmp_path: Path) -> None:
    assert load(f"parquet:{small_parquet(tmp_path / 'My Data (v2)')}").name == "my-data-v2"
    assert load(f"parquet:{tmp_path / 'My Data (v2)'}", name="mine").name == "mine"


def test_a_folder_never_takes_the_name_of_official_files(tmp_path: Path) -> None:
    source = f"parquet:{small_parquet(tmp_path / 'CIFAR10')}"
    assert load(source).name == "cifar10-parquet"
    with pytest.raises(ConfigError, match=r"reserved for the official files.*cifar10-parquet"):
        load(source, name="cifar10")


def test_a_folder_is_found_by_any_spelling_of_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_parquet(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    monkeypatch.setenv("HOME", str(tmp_path))
    prints = {load(f"parquet:{spelling}").fingerprint for spelling in (".", "~/there", "../there/")}
    assert len(prints) == 1
    assert load("parquet:.").name == "there"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cifar-10", "unknown data set 'cifar-10'; did you mean 'cifar10'"),
        ("digit", "did you mean 'digits'"),
        ("imagenet", "Valid: cifar10, cifar100, digits, fashion_mnist, imagefolder64:DIR, imagefolder:DIR, "),
        ("parquet", "unknown data set 'parquet'; did you mean 'parquet:DIR'"),
        ("parquet:", "names no folder; write parquet:DIR"),
        ("", "unknown data set ''"),
    ],
)
def test_unknown_sources_are_refused_with_the_valid_ones(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(source)


@pytest.mark.parametrize("name", ["", "Upper", "with space", "../escape", "-dash", "a/b"])
def test_names_that_could_not_be_a_file_name_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="must be lower-case"):
        load("digits", name=name)


@pytest.mark.parametrize("kind", ["parquet", "imagefolder"])
def test_a_missing_folder_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        load(f"{kind}:{tmp_path / 'nowhere'}")
