"""The folder of a submission: its owner's alone, because jobs execute what is in it."""

import os
import re
import stat
from pathlib import Path

import pytest

from sambench.errors import StateError
from sambench.slurm.cluster.job import Job
from sambench.slurm.cluster.submission import LAUNCHES, check_private, list_submissions, new_submission


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_it_is_made_for_its_owner_alone(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        made = new_submission(tmp_path / "results", "s")
    finally:
        os.umask(before)
    for folder in (made.folder, made.folder.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    check_private(made.folder)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o770])
def test_one_that_others_can_write_is_refused(mode: int, tmp_path: Path) -> None:
    made = new_submission(tmp_path, "s")
    made.folder.parent.chmod(mode)
    with pytest.raises(StateError, match=r"launches \(drwx.* can be written by others, .* `chmod 700` it"):
        new_submission(tmp_path, "s")
    made.folder.chmod(mode)
    with pytest.raises(StateError, match="can be written by others"):
        Job(str(made.folder), ())()


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / LAUNCHES).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="can be written by others"):
        new_submission(tmp_path, "s")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_that_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, owner = new_submission(tmp_path, "s"), os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner:
        with pytest.raises(StateError, match=f"of user {owner}"):
            check_private(made.folder)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert list_submissions(tmp_path) == []


@pytest.mark.parametrize("suite", ["a\n#SBATCH --x", "../../x", "a b;c", "\x1b[31m", "x" * 250])
def test_its_name_can_stand_in_a_script(suite: str, tmp_path: Path) -> None:
    made = new_submission(tmp_path, suite)
    assert made.folder.parent == tmp_path / LAUNCHES
    assert re.fullmatch(r"[a-zA-Z0-9_.-]+", made.id)
