"""`sambench clean`: what goes, what stays, and that records of results are never touched."""

from types import SimpleNamespace

import pytest
from synthetic import build_record
from typer.testing import CliRunner

from sambench import cli
from sambench.results.records.lease import Lease
from sambench.results.records.store import Store
from sambench.slurm import clean
from sambench.slurm.clean import leftovers, remove


@pytest.fixture
def store(tmp_path):
    """A results folder with a record, checkpoints of a finished run, of an unfinished one, and of one being made."""
    store = Store(tmp_path / "r")
    done, other, third = (build_record(seed=seed) for seed in range(3))
    store.write(done)
    for record in (done, other, third):
        folder = store.checkpoints(record.run_id)
        folder.mkdir(parents=True)
        (folder / "step-10.pt").write_bytes(b"x" * 1000)
    with Lease(store.checkpoints(third.run_id)):
        yield store


def sambench(store, *words, code=0, given=""):
    result = CliRunner(env={"COLUMNS": "80"}).invoke(cli.app, ["clean", *words, "--results", str(store.root)], given)
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def tree(store):
    return {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}


def test_without_a_kind_or_a_yes_it_is_listed_and_nothing_goes(store):
    before = tree(store)
    printed = sambench(store)
    assert "checkpoints of runs that are done" in printed
    assert "kept (in use: its run is being made)" in printed
    assert "2.0 kB could be freed; next: sambench clean --checkpoints --results" in printed
    assert "nothing was removed; next: sambench clean --checkpoints --yes --results" in sambench(store, "--checkpoints")
    assert tree(store) == before


def test_checkpoints_go_but_those_of_a_run_that_is_being_made(store):
    before = tree(store)
    assert "removed 2 of 3, 2.0 kB" in sambench(store, "--checkpoints", "--yes")
    gone = before - tree(store)
    assert len(gone) == 2
    assert all(path.startswith("checkpoints/") for path in gone)
    assert len(list((store.root / "checkpoints").iterdir())) == 1
    assert "nothing to remove" in sambench(store, "--checkpoints", "--yes")
    assert sum(1 for _ in store.records()) == 1


def test_a_run_that_began_after_the_listing_keeps_its_checkpoints(store):
    free = [one for one in leftovers(store, "checkpoints") if not one.kept]
    with Lease(free[0].path):
        assert [remove(one) for one in free] == [False, True]
        assert (free[0].path / "step-10.pt").is_file()


def test_a_link_in_a_folder_is_removed_and_not_followed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    first = next(one for one in leftovers(store, "checkpoints") if not one.kept)
    (first.path / "link").symlink_to(outside)
    (store.root / "checkpoints" / "link").symlink_to(outside)
    sambench(store, "--checkpoints", "--yes")
    assert (outside / "mine").is_file()
    assert not first.path.exists()


def test_trials_go_once_a_ledger_has_them(store, monkeypatch):
    trials = Store(store.root / "tuning")
    kept, gone = build_record(seed=5), build_record(seed=6)
    for record in (kept, gone):
        trials.write(record)
    (store.root / "ledgers").mkdir()
    (store.root / "ledgers" / "one.parquet").touch()
    monkeypatch.setattr(clean, "read_ledger", lambda path: [gone])
    printed = sambench(store, "--tuning", "--yes")
    assert "kept (in no ledger yet: its tuning has not ended)" in " ".join(printed.split())
    assert trials.run_ids() == [kept.run_id]
    assert (store.root / "ledgers" / "one.parquet").is_file()
    assert sum(1 for _ in store.records()) == 1


@pytest.mark.parametrize(
    ("queued", "silent", "done", "measures", "kept"),
    [
        (True, "", False, (), "in use: one of its jobs waits or runs"),
        (False, "no answer", False, (), "perhaps in use: it has runs to make, and SLURM does not answer"),
        (False, "no answer", True, (), ""),
        (False, "no answer", True, ("norms",), "perhaps in use: it measures, and SLURM does not answer"),
        (False, "", True, ("norms",), ""),
        (False, "", False, (), ""),
    ],
)
def test_a_launch_goes_once_no_job_of_it_can_go_on(store, monkeypatch, queued, silent, done, measures, kept):
    folder = store.root / "launches" / "one"
    folder.mkdir(parents=True)
    run_id = next(iter(store.run_ids())) if done else "0" * 64
    launch = SimpleNamespace(folder=folder, job_of={run_id: 0}, measures=measures)
    queue = SimpleNamespace(silent=silent, may_go_on=lambda launch, run_id: queued)
    monkeypatch.setattr(clean, "list_submissions", lambda root: [launch])
    monkeypatch.setattr(clean.Queue, "of", lambda submissions: queue)
    (found,) = leftovers(store, "launches")
    assert found.kept == kept
    sambench(store, "--launches", "--yes")
    assert folder.exists() == bool(kept)
