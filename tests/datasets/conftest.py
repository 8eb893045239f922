"""A private cache, no network, and a writer of archives."""

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.datasets import CIFAR10

from .builders import Archive


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redirect data and cache folders to a temporary one, and refuse every download."""
    monkeypatch.setenv("SAMBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sambench.datasets.fashion_mnist.DEBIAN_FOLDER", tmp_path / "not-debian")

    def refuse(url: str, *_args: object, **_kwargs: object) -> None:
        raise URLError(f"no network for {url}")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)


@pytest.fixture
def cifar_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Archive]:
    """Write an archive where ``load`` looks for it, or elsewhere."""

    def write(kind: type[CIFAR10] = CIFAR10, folder: Path | None = None) -> Archive:
        return Archive(kind, (folder or tmp_path / "data") / kind.filename, monkeypatch)

    return write
