"""Boards: tracks, tiers, retractions and tuning are shown at the right rows; nothing is dropped silently."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import build_measurement, build_trial

from sambench.errors import StateError
from sambench.results.leaderboard import render as leaderboard
from sambench.results.records.manifest import SuiteManifest, Track, Tuning, write_manifest
from sambench.results.records.measurement import Measurements
from sambench.results.records.record import RunRecord
from sambench.results.records.retractions import RETRACTED, read_retractions
from sambench.results.records.store import Store
from sambench.results.records.trials import write_ledger
from sambench.results.tables.boards import Board, Boards, assemble, gather
from sambench.results.tables.tiers import VERIFICATION

Make = Callable[..., RunRecord]
SEEDS = range(3)


def series(make_record: Make, variant: str, epochs: int, level: float, **fields: Any) -> list[RunRecord]:
    rng = np.random.default_rng(epochs)
    return [
        make_record(variant=variant, epochs=epochs, seed=s, accuracy=level + rng.normal(0, 0.004), count=2000, **fields)
        for s in SEEDS
    ]


def ids(records: Sequence[RunRecord]) -> tuple[str, ...]:
    return tuple(record.run_id for record in records)


@pytest.fixture
def runs(make_record: Make) -> dict[str, list[RunRecord]]:
    return {
        "sam": series(make_record, "sam", 4, 0.95),
        "sgd 4": series(make_record, "sgd", 4, 0.92),
        "sgd 8": series(make_record, "sgd", 8, 0.93),
    }


def promise(runs: dict[str, list[RunRecord]], **changes: Any) -> SuiteManifest:
    tracks = (
        Track(name="E", budget=4, runs=ids(runs["sgd 4"] + runs["sam"])),
        Track(name="G", budget=8, runs=ids(runs["sgd 8"] + runs["sam"])),
    )
    fields = {"name": "s", "title": "What S answers", "description": "It does not show X.", "command": "sambench go s"}
    return SuiteManifest.model_validate(fields | {"seeds": SEEDS, "tracks": tracks} | changes)


def pages_of(boards: Boards) -> str:
    return "\n".join(leaderboard.render(boards).values())


def every(runs: dict[str, list[RunRecord]]) -> list[RunRecord]:
    return [record for group in runs.values() for record in group]


def test_one_run_is_a_row_of_every_track_that_lists_it(runs: dict[str, list[RunRecord]]) -> None:
    boards = assemble(every(runs), [promise(runs)])
    (board,) = boards.boards
    assert board.runs == 9
    assert board.missing == 0
    headline, beside = board.sections
    assert headline.track is not None
    assert beside.track is not None
    assert (headline.track.name, beside.track.name) == ("G", "E")
    assert {row.label: row.runs for row in headline.workload.rows} == {
        "sam": ids(runs["sam"]),
        "sgd": ids(runs["sgd 8"]),
    }
    assert {row.label: row.runs for row in beside.workload.rows} == {"sam": ids(runs["sam"]), "sgd": ids(runs["sgd 4"])}


def test_the_board_shows_title_command_and_number_of_runs(runs: dict[str, list[RunRecord]]) -> None:
    text = pages_of(assemble(every(runs), [promise(runs)]))
    assert (
        "# What S answers\n\n[All suites, and how to read this](../LEADERBOARD.md)\n\nIt does not show X.\n\n"
        "`sambench go s`: 9 runs, made with the code of commit 0123456." in text
    )
    assert "Nothing was tuned" in text
    assert text.index(
        "## digits, wrn10_1: track G\n\nTrack G, equal gradient evaluations: every method may spend 8"
    ) < (text.index("## digits, wrn10_1: track E\n\nTrack E, equal epochs: every method trains for 4 epochs"))
    assert "\n\n9 runs on 1 workload. " in text
    assert "Other runs" not in text


def test_a_suite_without_tracks_has_one_table_a_workload(runs: dict[str, list[RunRecord]]) -> None:
    promised = promise(runs)
    boards = assemble(every(runs), [promised.model_copy(update={"tracks": (), "untracked": promised.runs})])
    (board,) = boards.boards
    (section,) = board.sections
    assert (board.runs, board.missing, section.track) == (9, 0, None)
    assert len(section.workload.rows) == 3
    text = pages_of(boards)
    assert "`sambench go s`: 9 runs, made with the code of commit 0123456." in text
    assert "The suite has no track: nothing is held equal" in text
    assert "Other runs" not in text


def test_missing_promised_runs_are_counted(runs: dict[str, list[RunRecord]], make_record: Make) -> None:
    failed = make_record(variant="sgd", epochs=8, seed=2, status="failed")
    records = [record for record in every(runs) if record.run_id != failed.run_id]
    boards = assemble([*records, failed], [promise(runs)])
    assert (boards.boards[0].runs, boards.boards[0].missing) == (8, 1)
    text = pages_of(boards)
    assert "**1 promised run not done yet**" in text
    assert "- digits, wrn10_1: sgd, seed 2: failed: DataError: the archive is truncated" in text


def test_runs_of_no_suite_have_a_board_of_their_own(runs: dict[str, list[RunRecord]], make_record: Make) -> None:
    other = make_record(variant="asam", accuracy=0.9)
    boards = assemble([*every(runs), other], [promise(runs)])
    suite, rest = boards.boards
    assert (rest.manifest, rest.runs, rest.missing) == (None, 1, 0)
    assert [row.label for section in rest.sections for row in section.workload.rows] == ["asam"]
    assert all(other.run_id not in row.runs for section in suite.sections for row in section.workload.rows)


def test_a_worse_method_stays_on_the_board(runs: dict[str, list[RunRecord]], make_record: Make) -> None:
    worse = series(make_record, "asam", 4, 0.5)
    runs["sam"] += worse
    front, page, _ = leaderboard.render(assemble(every(runs), [promise(runs)])).values()
    assert (front.count("| asam "), page.count("| asam ")) == (2, 6)
    assert "+45" in next(line for line in front.splitlines() if "| asam " in line)


# -- tiers -------------------------------------------------------------------------------------------------------


def tiers(records: list[RunRecord], again: list[RunRecord]) -> dict[str, str]:
    (section,) = assemble(records, again=again).sections
    return section.tiers


def rerun(make_record: Make, record: RunRecord, accuracy: float, **changes: Any) -> RunRecord:
    again = make_record(variant="sam", epochs=4, seed=record.spec["seed"], accuracy=accuracy, count=2000, **changes)
    assert again.run_id == record.run_id
    return again


def test_of_a_baseline_with_several_settings_the_best_with_enough_runs_counts(make_record: Make) -> None:
    levels = {0.1: (0.93, 3), 0.2: (0.90, 3), 0.3: (0.99, 2)}
    runs = [
        make_record(variant="sgd", lr=lr, seed=seed, accuracy=level + 0.001 * seed, count=2000)
        for lr, (level, count) in levels.items()
        for seed in range(count)
    ]
    sam = [make_record(variant="sam", seed=seed, accuracy=0.95 + 0.001 * seed**2, count=2000) for seed in SEEDS]
    ((section,),) = (board.sections for board in assemble([*runs, *sam]).boards)
    against = next(row.against for row in section.workload.rows if row.variant == "sam")
    assert against.keys() == {"sgd"}
    assert against["sgd"].estimate == pytest.approx(0.02 + (0.001 * 5 - 0.001 * 3) / 3)


def test_a_row_is_verified_by_the_same_result_on_another_machine(
    runs: dict[str, list[RunRecord]], make_record: Make
) -> None:
    sam = runs["sam"]
    accuracies = [record.metrics.accuracy for record in sam if record.metrics]
    same = [rerun(make_record, r, a, host="f" * 12) for r, a in zip(sam, accuracies, strict=True)]
    assert tiers(sam, same) == {"sam": "verified"}
    assert tiers(sam, same[:2]) == {"sam": "reproduced"}
    other = [rerun(make_record, r, a, device_name="another CPU") for r, a in zip(sam, accuracies, strict=True)]
    assert tiers(sam, other) == {"sam": "verified"}  # containers share the name of their host
    here = [rerun(make_record, r, a) for r, a in zip(sam, accuracies, strict=True)]
    assert tiers(sam, here) == {"sam": "reproduced"}
    worse = [rerun(make_record, r, a - 0.05, host="f" * 12) for r, a in zip(sam, accuracies, strict=True)]
    assert tiers(sam, worse) == {"sam": "reproduced"}
    lost = [*same[:2], rerun(make_record, sam[2], 0.9, host="f" * 12, status="diverged")]
    assert tiers(sam, lost) == {"sam": "reproduced"}


def test_reruns_and_retractions_are_read_from_the_store(
    tmp_path: Path, runs: dict[str, list[RunRecord]], make_record: Make
) -> None:
    store = Store(tmp_path)
    for record in every(runs):
        store.write(record)
    write_manifest(store, promise(runs))
    for record in runs["sam"]:
        assert record.metrics is not None
        Store(tmp_path / VERIFICATION).write(rerun(make_record, record, record.metrics.accuracy, host="f" * 12))
    (tmp_path / RETRACTED).write_text(
        f'[[retracted]]\nruns = ["{runs["sgd 8"][0].run_id}"]\n'
        'reason = "trained on the test images"\ndate = "2026-11-20"\n'
    )
    boards = gather(store)
    assert all(section.tiers == {"sam": "verified", "sgd": "reproduced"} for section in boards.sections)
    headline, beside = boards.sections
    assert [row.n for row in headline.workload.rows] == [3, 2]
    assert [row.n for row in beside.workload.rows] == [3, 3]
    text = pages_of(boards)
    assert "- digits, wrn10_1: sgd, seed 0: retracted: trained on the test images (2026-11-20)" in text
    assert text.count("| verified ") == 2


@pytest.mark.parametrize(
    "content",
    [
        b'[[retracted]]\nruns = []\nreason = "because it is so"\ndate = "2026-11-20"\n',
        b'[[retracted]]\nruns = ["0123456789ab"]\nreason = "because it is so"\ndate = "2026-11-20"\n',
        b'reason = "\xff"\n',
    ],
)
def test_a_damaged_list_of_retractions_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RETRACTED).write_bytes(content)
    with pytest.raises(StateError, match=r"the list of retractions .*retracted\.toml cannot be used"):
        read_retractions(tmp_path)
    assert read_retractions(tmp_path / "elsewhere") == []


# -- tuning ------------------------------------------------------------------------------------------------------


def test_the_board_shows_the_number_of_trials_and_values_at_the_edge(
    tmp_path: Path, runs: dict[str, list[RunRecord]]
) -> None:
    trials = [build_trial(method, number) for method in ("sam", "sgd") for number in range(2)]
    trials += [
        build_trial("sam", 1, "confirm", 1001, chosen=True, edges="rho (low)"),
        build_trial("sgd", 1, "confirm", 1001, chosen=True),
    ]
    digest = write_ledger(trials, tmp_path / "ledgers" / "s.parquet")
    store = Store(tmp_path)
    for record in every(runs):
        store.write(record)
    write_manifest(store, promise(runs, tuning=Tuning(ledger="s.parquet", sha256=digest)))
    boards = gather(store)
    assert boards.boards[0].budget == {("screen", 1000): 2, ("confirm", 1001): 1}
    assert [section.edges for section in boards.sections] == [{"sam": "rho (low)"}] * 2
    text = pages_of(boards)
    assert "the same trials for every method: 2 (screen, seed 1000), 1 (confirm, seed 1001)" in text
    assert "`ledgers/s.parquet`" in text
    assert text.count("| rho=0.05‡ ") == 2
    assert "‡ a tuned value at the edge of its range, where a wider one might do better: sam." in text


def test_trials_are_counted_of_one_method_screens_first() -> None:
    trials = [
        build_trial(method, number, stage, seed, track=track)
        for track, method in (("G", "sam"), ("G", "sgd"), ("E", "sam"))
        for stage, seed, numbers in (("confirm", 8, 1), ("confirm", 7, 2), ("screen", 9, 3))
        for number in range(numbers)
    ]
    board = Board(None, (), 0, 0, tuple(trials))
    assert list(board.budget.items()) == [(("screen", 9), 3), (("confirm", 7), 2), (("confirm", 8), 1)]
    assert Board(None, (), 0, 0, (build_trial("sam", 0),)).budget == {("screen", 1000): 1}
    assert Board(None, (), 0, 0).budget == {}


@pytest.mark.parametrize("order", [1, -1])
def test_a_value_at_the_edge_is_that_of_the_tracks_own_search(runs: dict[str, list[RunRecord]], order: int) -> None:
    trials = [build_trial("sam", 1, track=track, chosen=True, edges=f"rho of {track}") for track in "EGT"]
    trials += [build_trial("sam", 0, track=track, edges="not chosen") for track in "EGT"]
    tuning = Tuning(ledger="s.parquet", sha256="0" * 64)
    found = assemble(every(runs), [promise(runs, tuning=tuning)], {"s.parquet": trials[::order]})
    assert [section.edges for section in found.sections] == [{"sam": "rho of G"}, {"sam": "rho of E"}]
    assert found.boards[0].trials == tuple(trials[::order])


def test_tables_stand_workload_by_workload_with_reference_rows_last(
    runs: dict[str, list[RunRecord]], make_record: Make
) -> None:
    groups = {
        noise: {
            variant: series(make_record, variant, epochs, level, noise=noise)
            for variant, epochs, level in (("sam", 4, 0.95), ("sgd", 8, 0.93), ("asam", 2, 0.5), ("gsam", 2, 0.9))
        }
        for noise in (0.0, 0.4)
    }
    listed = {name: ids([r for found in groups.values() for r in found[name]]) for name in groups[0.0]}
    tracks = tuple(Track(name=name, budget=8, runs=listed["sam"] + listed["sgd"]) for name in "TEG")
    promised = promise(runs, tracks=tracks, untracked=listed["asam"] + listed["gsam"])
    found = assemble([r for one in groups.values() for group in one.values() for r in group], [promised])
    (board,) = found.boards
    assert [s.track.name if s.track else None for s in board.sections] == [*"GET", None] * 2
    titles = [section.workload.title for section in board.sections]
    assert titles[:4] != titles[4:]
    assert all(len(set(part)) == 1 for part in (titles[:4], titles[4:]))
    assert (board.runs, board.missing) == (24, 0)
    for section in board.sections:
        assert section.reference == (section.track is None)
        assert [bool(row.group) for row in section.workload.rows] == [section.track is not None] * 2
        assert [list(row.against) for row in section.workload.rows] == (
            [["sgd"], ["sam"]] if section.track else [[], []]
        )


def test_the_first_value_of_a_measure_stands_beside_the_runs(tmp_path: Path, runs: dict[str, list[RunRecord]]) -> None:
    store, measured = Store(tmp_path), Measurements(Store(tmp_path))
    for record in every(runs):
        store.write(record)
    first, second, third = runs["sam"]
    for measurement in (
        build_measurement(first, value=0.5),
        build_measurement(first, epoch=2, value=7.0, measure="sharpness"),  # on the way
        build_measurement(first, value=2.0, rho=0.2),
        build_measurement(second, value=None),
        build_measurement(third, epoch=0, value=7.0),
    ):
        measured.write(measurement)
    write_manifest(store, promise(runs))
    expected = {
        first.run_id: {"sam_gap": 0.5, "sharpness@2": 7.0, "sam_gap[rho=0.2]": 2.0},
        second.run_id: {"sam_gap": None},
        third.run_id: {"sam_gap@0": 7.0},
    }
    assert [section.measured for section in gather(store).sections] == [expected] * 2
