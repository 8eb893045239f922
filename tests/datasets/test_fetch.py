"""`sambench fetch`: official archives from an address, here of this machine, ahead of the runs."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100
from typer.testing import CliRunner

from sambench import cli
from sambench.errors import DataError

from .builders import Archive

DOWNLOAD = torch.hub.download_url_to_file


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of ``tmp_path/away``."""
    monkeypatch.setattr(torch.hub, "download_url_to_file", DOWNLOAD)
    (tmp_path / "away").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "away"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(*words: object) -> tuple[str, str, BaseException | None]:
    result = CliRunner().invoke(cli.app, ["fetch", *map(str, words)])
    return result.stdout, result.stderr, result.exception


def test_what_is_fetched_needs_no_network_any_more(tmp_path, address, monkeypatch):
    for kind in (CIFAR10, CIFAR100):
        made = Archive(kind, tmp_path / "away" / kind.filename, monkeypatch, rows=100)
        monkeypatch.setattr(kind, "url", f"{address}/{made.path.name}")
    printed, _, error = fetch("cifar10", "cifar100", "--data", tmp_path / "here")
    assert error is None, error
    assert "cifar10: 500 training and 100 test images of 3x32x32, 10 classes, fingerprint " in printed
    assert printed.splitlines()[-1] == "next: sambench describe cifar10"
    assert {path.name for path in (tmp_path / "here").iterdir()} == {CIFAR10.filename, CIFAR100.filename}
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)
    again, _, error = fetch("cifar10", "cifar100", "--data", tmp_path / "here")
    assert (again, error) == (printed, None)


def test_a_data_set_that_cannot_be_had_does_not_keep_the_others_away(tmp_path, address, monkeypatch):
    made = Archive(CIFAR10, tmp_path / "away" / CIFAR10.filename, monkeypatch)
    made.path.write_bytes(made.path.read_bytes()[:-100])
    monkeypatch.setattr(CIFAR10, "url", f"{address}/{made.path.name}")
    printed, said, error = fetch("cifar10", "digits", "--data", tmp_path / "here")
    assert "digits: 1,438 training" in printed
    assert "cifar10: " in said
    assert "with md5" in said
    assert isinstance(error, DataError)
    assert "1 of 2 data sets are not here" in str(error)
    assert not list((tmp_path / "here").glob("*"))


def test_an_unknown_name_is_refused_before_anything_is_fetched(tmp_path):
    _, _, error = fetch("digits", "cifar1000", "--data", tmp_path / "here")
    assert "did you mean 'cifar100'" in str(error)
    assert not (tmp_path / "here").exists()
