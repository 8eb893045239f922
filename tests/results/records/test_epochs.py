"""Lines of a run in progress: appended whole, read past anything, and never a reason for a run to fail."""

import json
import logging
import os

import pytest
from fuzzing import damaged, fed
from hypothesis import strategies as st

from sambench.results.records.epochs import EPOCHS, EpochLine, EpochWriter, read_epochs
from sambench.results.records.record import CurvePoint

ABOUT = {"label": "sam seed 0", "epochs": 9, "steps": 90}


def point(epoch, loss=1.0):
    return CurvePoint(
        epoch=epoch, step=10 * epoch, gradient_evaluations=20.0 * epoch, seconds=1.5, lr=0.1, train_loss=loss
    )


def line(epoch, loss=1.0):
    return EpochLine(**point(epoch, loss).model_dump(), **ABOUT)


@pytest.fixture
def writer(tmp_path):
    return EpochWriter(tmp_path, *ABOUT.values())


def test_what_was_written_is_read(writer, tmp_path):
    for epoch in (1, 2):
        writer.append(point(epoch))
    assert read_epochs(tmp_path) == ([line(1), line(2)], 0)
    assert read_epochs(tmp_path / "nowhere") == ([], 0)


def test_a_resumption_takes_up_the_curve_of_its_checkpoint(writer, tmp_path):
    for epoch in (1, 2, 3):
        writer.append(point(epoch, loss=5.0))
    with (tmp_path / EPOCHS).open("ab") as file:
        file.write(b'{"epoch": 4, "st')  # killed in the middle of a line
    again = EpochWriter(tmp_path, *ABOUT.values(), [point(1)])
    again.append(point(2))
    assert read_epochs(tmp_path) == ([line(1), line(2)], 0)
    EpochWriter(tmp_path, *ABOUT.values())
    assert not (tmp_path / EPOCHS).exists()


def test_the_later_line_of_an_epoch_wins_and_others_are_counted(writer, tmp_path):
    lines = [line(2), line(1, 4.0), line(1)]
    texts = [one.model_dump_json() for one in lines]
    other = json.dumps({**json.loads(texts[0]), "epoch": "two"})
    (tmp_path / EPOCHS).write_text("\n".join([*texts, "[" * 9000, other, "\x1b[31m", texts[0][:40]]))
    assert read_epochs(tmp_path) == ([line(1), line(2)], 3)


@fed(damaged(b"".join(line(epoch).model_dump_json().encode() + b"\n" for epoch in (1, 2, 3))) | st.binary(max_size=200))
def test_any_content_is_read_or_passed_over(folder, content):
    (folder / EPOCHS).write_bytes(content)
    lines, others = read_epochs(folder)
    assert [one.epoch for one in lines] == sorted({one.epoch for one in lines})
    assert len(lines) + others <= content.count(b"\n")


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_stands_in_place_of_the_file_costs_the_lines_and_no_more(what, tmp_path, caplog):
    (os.mkdir if what == "folder" else os.mkfifo)(tmp_path / EPOCHS)
    assert read_epochs(tmp_path) == ([], 1)
    with caplog.at_level(logging.WARNING):
        writer = EpochWriter(tmp_path, *ABOUT.values())
        writer.append(point(1))
        writer.append(point(2))
    assert caplog.text.count("are not written to be watched") == (what == "folder")


def test_a_full_disk_leaves_lines_that_can_be_read(writer, tmp_path, monkeypatch, caplog):
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2 + 1]))
        writer.append(point(1))
    writer.append(point(2))
    assert read_epochs(tmp_path) == ([line(2)], 1)
