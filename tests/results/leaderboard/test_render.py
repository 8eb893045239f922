"""The leaderboard: correct numbers, the same bytes from the same records, nothing dropped silently."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sambench.errors import StateError
from sambench.results.leaderboard import render as leaderboard
from sambench.results.leaderboard.cells import cells
from sambench.results.leaderboard.footnotes import track_text
from sambench.results.leaderboard.gains import Gain, draw
from sambench.results.leaderboard.place import Place
from sambench.results.records.behaviour import Code
from sambench.results.records.manifest import SuiteManifest, Track
from sambench.results.records.record import RunRecord
from sambench.results.records.store import Store
from sambench.results.statistics.intervals import detectable_difference, pooled_deviation, t_interval
from sambench.results.tables.boards import Boards, assemble, gather
from sambench.results.tables.workload_table import Workload, summarize

Make = Callable[..., RunRecord]
SGD, SAM = (0.92, 0.9225, 0.925), (0.95, 0.9525, 0.96)


@pytest.fixture
def board(make_record: Make) -> list[RunRecord]:
    records = [make_record(variant="sgd", seed=seed, accuracy=value) for seed, value in enumerate(SGD)]
    return records + [make_record(variant="sam", seed=seed, accuracy=value) for seed, value in enumerate(SAM)]


def text_of(boards: Boards) -> str:
    """Return all pages one after the other, the first page first."""
    return "\n".join(leaderboard.render(boards).values())


def render(records: list[RunRecord]) -> str:
    return text_of(assemble(records))


def settings(records: list[RunRecord]) -> dict[str, str]:
    (section,) = assemble(records).sections
    return {row.label: cells(row, section, {})["Settings"] for row in section.workload.rows}


def only(records: list[RunRecord]) -> Workload:
    (workload,) = summarize(records)
    return workload


def changed(record: RunRecord, **parts: dict[str, Any]) -> RunRecord:
    data = record.model_dump(mode="json")
    return RunRecord.model_validate(data | {key: data[key] | value for key, value in parts.items()})


def test_rows_are_what_the_statistics_say(board: list[RunRecord]) -> None:
    workload = only(board)
    sam, sgd = workload.rows
    expected = stats.ttest_ind(SAM, SGD, equal_var=False).confidence_interval()
    assert sam.against["sgd"][:3] == pytest.approx((sam.accuracy - sgd.accuracy, *expected))
    assert (sam.against.keys(), sgd.against.keys()) == ({"sgd"}, {"sam"})
    assert (sam.label, sgd.label) == ("sam", "sgd")
    assert sam.accuracies == SAM
    assert sam.seeds == (0, 1, 2)
    assert (sam.accuracy, sam.low, sam.high) == pytest.approx(t_interval(SAM))
    assert (sam.group, sgd.group) == ("a", "b")
    assert (sam.gradient_evaluations, sgd.gradient_evaluations) == (88, 44)
    assert (sam.train_seconds, sam.seconds_per_gradient) == (4, 4 / 88)
    assert workload.deviation == pytest.approx(pooled_deviation([SGD, SAM]))
    alone = pytest.approx(pooled_deviation([SGD, SAM]) * detectable_difference(3))
    assert workload.detectable == ((3, alone, alone),)


def test_the_pages_to_the_letter(board: list[RunRecord]) -> None:
    checks = {"sam": {"resume": "pass", "identity": "n/a"}, "sgd": {"ddp": "fail: x"}}
    pages = leaderboard.render(assemble(board), checks)
    assert list(map(str, pages)) == ["LEADERBOARD.md", "boards/no-suite.md", "boards/gains.svg"]
    front, page, _ = pages.values()
    results = """\
3 runs a row.

| Group | Variant |    Error, % |               vs sgd |               vs sam |
| ----- | ------- | ----------: | -------------------: | -------------------: |
| a     | sam     | 4.58 ± 1.29 | −3.17 [−4.25, −2.08] |                    – |
| b     | sgd     | 7.75 ± 0.62 |                    – | +3.17 [+2.08, +4.25] |
"""
    assert front.startswith("""\
# Leaderboard

6 runs on 1 workload. Errors are of the test set, ± and brackets are 95 % intervals, and the rows of a best group are \
not told apart by these runs.

![error of SAM and of the best row, relative to SGD](boards/gains.svg)

| Suite                         | Workload        | Track | Best group |      SGD, % |      SAM, % | \
SAM less SGD, points |
| ----------------------------- | --------------- | ----- | ---------- | ----------: | ----------: | \
-------------------: |
| [Other runs](#suite-no-suite) | digits, wrn10_1 | –     | sam        | 7.75 ± 0.62 | 4.58 ± 1.29 | \
−3.17 [−4.25, −2.08] |

- [Other runs](#suite-no-suite)
- Nothing is said across workloads yet: """)
    assert f"\n\n### digits, wrn10_1\n\n{results}" in front
    assert (
        page
        == f"""\
# Other runs

[All suites, and how to read this](../LEADERBOARD.md)

No suite here lists these runs; `sambench run` with the settings of a row makes it again. 6 runs, made with the code \
of commit 0123456.

## digits, wrn10_1

All runs: `augment=standard base=sgd batch_size=128 bn_update=first drop_last=on epochs=4 lr=0.1 momentum=0.9 \
precision=fp32 schedule=cosine schedule_unit=step weight_decay=5e-4 weight_decay_mode=base`

{results}
<details><summary>What it cost</summary>

| Variant | Grad. evals | ms / eval | Memory, MiB | Diverged |
| ------- | ----------: | --------: | ----------: | -------: |
| sam     |        88.0 |      45.5 |         512 |      0/3 |
| sgd     |        44.0 |      45.5 |         512 |      0/3 |

</details>

<details><summary>Checks, evidence and settings</summary>

| Variant | Checks | Tier       | Settings |
| ------- | ------ | ---------- | -------- |
| sam     | ✓      | reproduced | rho=0.05 |
| sgd     | ✗ ddp  | reproduced | –        |

</details>

- Smallest difference between two rows that is found with 80 % power: 1.25 points with 3 runs each (one comparison at \
5 %; standard deviation over seeds 0.41, of single rows 0.25 to 0.52 (sam)); by the groups, which judge all pairs at \
once, 1.25.
- Times were measured on: a CPU, 2 threads.
"""
    )


def test_the_top_is_short_and_in_the_order_of_what_suites_can_show(make_record: Make) -> None:
    def suite(name: str, runs: list[RunRecord]) -> SuiteManifest:
        ids = tuple(run.run_id for run in runs)
        fields = {"name": name, "title": f"Title of {name}", "description": "", "command": "c", "seeds": (0, 1, 2)}
        return SuiteManifest.model_validate(fields | {"tracks": (Track(name="E", budget=4, runs=ids),)})

    def runs(spread: float, seeds: int = 3, **spec: Any) -> list[RunRecord]:
        return [
            make_record(variant=name, seed=seed, accuracy=0.9 + spread * seed, **spec)
            for name in ("sam", "sgd")
            for seed in range(seeds)
        ]

    made = {
        "a-single-epoch": runs(0.0025, noise=0.1, epochs=1),
        "b-without-intervals": runs(0.0025, seeds=2, noise=0.2),
        "c-coarse": runs(0.02, noise=0.3),
        "d-fine": runs(0.005, noise=0.4),
    } | {f"e{number:02}-widest": runs(0.03, batch_size=number + 2) for number in range(8)}
    boards = assemble([run for found in made.values() for run in found], [suite(*one) for one in made.items()])
    front = leaderboard.render(boards)[Path("LEADERBOARD.md")]
    titles = re.findall("^## Title of (.)", front, flags=re.MULTILINE)
    assert titles == ["d", "c", *"e" * 8, "b", "a"]
    top, _, folded = front.partition("<details><summary>2 tables more</summary>")
    assert top.count(" | digits, wrn10_1 ") == 10
    assert folded.partition("</details>")[0].count(" | digits, wrn10_1 ") == 2
    assert re.findall(r"^- \[Title of (.)[^]]*\]\(#suite-\1[-\w]*\)$", front, flags=re.MULTILINE) == titles


def test_of_several_rows_of_sgd_the_best_one_is_meant(make_record: Make) -> None:
    made = [
        make_record(variant=variant, epochs=epochs, seed=seed, accuracy=accuracy + 0.005 * seed)
        for variant, epochs, accuracy in (("sgd", 4, 0.92), ("sgd", 8, 0.90), ("sam", 4, 0.91))
        for seed in range(3)
    ]
    made += [make_record(variant="sgd", epochs=16, seed=seed, accuracy=0.96) for seed in range(2)]
    front, *_ = leaderboard.render(assemble(made)).values()
    row = row_of(front, "digits, wrn10_1")
    assert row["SGD, %"] == "7.50 ± 1.24"
    assert row["SAM less SGD, points"].startswith("+1.00")


def test_names_link_to_the_cards_that_are_there(tmp_path: Path, board: list[RunRecord]) -> None:
    cards = tmp_path / "docs" / "variants"
    cards.mkdir(parents=True)
    (cards / "sam.md").touch()
    place = Place.of(tmp_path / "results", tmp_path / "LEADERBOARD.md")
    pages = leaderboard.render(assemble(board), place=place)
    front, page, figure = pages
    assert (front, page) == (tmp_path / "LEADERBOARD.md", tmp_path / "results" / "boards" / "no-suite.md")
    assert "| [sam](docs/variants/sam.md) |" in pages[front]
    assert "| [sam](../../docs/variants/sam.md) |" in pages[page]
    assert "| sgd  " in pages[page]
    leaderboard.write(pages)
    links = [(at, link) for at, text in pages.items() for link in re.findall(r"\]\(([^)#]+)\)", text)]
    assert len(links) > 6
    assert all((at.parent / link).is_file() for at, link in links)
    assert figure.read_text().startswith("<svg ")


def test_the_figure_shows_relative_differences_at_their_place(board: list[RunRecord]) -> None:
    sam, sgd = only(board).rows
    svg = draw([Gain("a<b", sgd.error, sam.against["sgd"], None, "sam")])
    assert "a&lt;b" in svg
    ticks = {
        float(t.replace("−", "-")): float(x) for x, t in re.findall(r'class="small" x="([\d.]+)"[^>]*>([−+]?\d+)<', svg)
    }
    (at,) = re.findall(r'<circle class="sam" cx="([\d.]+)" cy="56"', svg)
    pixels = (ticks[0] - ticks[-50]) / 50
    assert float(at) == pytest.approx(ticks[0] - pixels * 100 * (sgd.error - sam.error) / sgd.error, abs=0.2)
    line = re.findall(r'<line class="sam" x1="([\d.]+)" y1="56" x2="([\d.]+)"', svg)[0]
    ends = sam.against["sgd"]
    assert [float(x) for x in line] == pytest.approx(
        [ticks[0] - pixels * 100 * end / sgd.error for end in (ends.high, ends.low)], abs=0.2
    )


def test_a_release_is_named_where_there_is_no_commit(board: list[RunRecord]) -> None:
    installed = board[0].environment.model_copy(update={"commit": None, "dirty": None, "source": "f" * 64})
    text = render([board[0].model_copy(update={"environment": installed}), *board[1:]])
    assert f"made with the code of commit 0123456 and release {installed.sambench} (fffffff).\n" in text


def row_of(text: str, name: str) -> dict[str, str]:
    """Return what the tables say of a row: heading -> cell."""
    found: dict[str, str] = {}
    for block in text.split("\n\n"):
        if block.startswith("| "):
            heading, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
            found |= next((dict(zip(heading, row, strict=True)) for row in rows if name in row[:2]), {})
    return found


def test_the_order_of_the_records_does_not_matter(tmp_path: Path, board: list[RunRecord], make_record: Make) -> None:
    board += [make_record(status="failed", seed=9), make_record(variant="sgd", noise=0.2), make_record(split="search")]
    expected = render(board)
    for seed in range(5):
        random.Random(seed).shuffle(board)
        assert render(board) == expected
    store = Store(tmp_path)
    for record in board:
        store.write(record)
    assert text_of(gather(store)) == expected


def test_a_diverged_run_counts_as_guessing(make_record: Make) -> None:
    runs = [
        make_record(seed=0, accuracy=0.95),
        make_record(seed=1, status="diverged"),
        make_record(seed=2, accuracy=0.9),
    ]
    clean = [make_record(variant="sgd", seed=seed, accuracy=0.9 + 0.01 * seed) for seed in range(3)]
    workload = only(runs + clean)
    sgd, sam = workload.rows
    assert sam.accuracies == (0.95, 0.1, 0.9)
    assert sam.accuracy == pytest.approx(0.65)
    assert sam.diverged == 1
    assert workload.deviation == pytest.approx(pooled_deviation([sgd.accuracies]))
    cells_of_sam = row_of(render(runs + clean), "sam")
    assert (cells_of_sam["Error, %"], cells_of_sam["Diverged"]) == ("35.00 ± 118.49", "1/3")


def test_costs_are_those_of_completed_runs(make_record: Make) -> None:
    diverged = changed(make_record(seed=1, status="diverged"), counters={"gradient_evaluations": 3.0})
    assert only([make_record(seed=0), diverged]).rows[0].gradient_evaluations == 88


def test_a_row_that_only_diverged_has_no_group_and_no_cost(make_record: Make) -> None:
    runs = [make_record(seed=seed, status="diverged") for seed in range(3)]
    clean = [make_record(variant="sgd", seed=seed, accuracy=0.9 + 0.01 * seed) for seed in range(3)]
    sam = only(runs + clean).rows[1]
    assert (sam.group, sam.accuracy, sam.gradient_evaluations) == ("", pytest.approx(0.1), None)
    row = row_of(render(runs + clean), "sam")
    assert {row[name] for name in ("Group", "Grad. evals", "ms / eval", "Memory, MiB")} == {"–"}
    assert (row["Error, %"], row["Diverged"]) == ("90.00 ± 0.00", "3/3")


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_runs_have_no_interval_no_group_and_no_difference(make_record: Make, n: int) -> None:
    text = render([make_record(variant=variant, seed=seed) for variant in ("sam", "sgd") for seed in range(n)])
    row = row_of(text, "sam")
    assert row["Error, %"] == f"5.00 (n = {n})"
    assert row.keys().isdisjoint({"Group", "vs sgd", "vs sam"})
    assert f"\n\n{n} run{'s' * (n > 1)} a row.\n\n" in text
    assert "no difference is evidence" in text
    assert "gains.svg" not in text


def test_failed_runs_are_excluded_and_listed(board: list[RunRecord], make_record: Make) -> None:
    board += [make_record(seed=seed, status="failed") for seed in (7, 8)]
    workload = only(board)
    assert [row.n for row in workload.rows] == [3, 3]
    assert [(item.label, item.seeds) for item in workload.excluded] == [("sam", (7, 8))]
    text = render(board)
    assert "## Excluded, and why\n\n- digits, wrn10_1: sam, seeds 7, 8: failed: DataError: the archive" in text


def test_a_store_of_failures_has_no_table(make_record: Make) -> None:
    text = render([make_record(status="failed")])
    assert "no finished run" in text
    assert "sam, seed 0: failed: DataError" in text


def test_a_damaged_file_is_listed_and_hides_nothing(tmp_path: Path, board: list[RunRecord]) -> None:
    store = Store(tmp_path)
    for record in board:
        store.write(record)
    store.path("0" * 64).write_text("{")
    text = text_of(gather(store))
    assert "\n\n6 runs on 1 workload. " in text
    assert f"- {'0' * 64}.json: the record: invalid JSON" in text
    assert str(tmp_path) not in text


def test_search_runs_are_counted_and_not_ranked(board: list[RunRecord], make_record: Make) -> None:
    text = render([*board, make_record(split="search", accuracy=0.99)])
    assert "1 search run chose hyper-parameters and is not ranked" in text
    assert "99.00" not in text


def test_specs_that_differ_in_the_protocol_are_other_workloads(board: list[RunRecord], make_record: Make) -> None:
    workloads = summarize([*board, make_record(batch_size=64), make_record(a_key_of_the_future=[1])])
    assert [workload.title for workload in workloads] == [
        "digits, wrn10_1 (a_key_of_the_future=1 batch_size=128)",
        "digits, wrn10_1 (batch_size=128)",
        "digits, wrn10_1 (batch_size=64)",
    ]


def test_other_data_under_the_same_name_is_another_workload(make_record: Make) -> None:
    record = make_record(seed=1).model_copy(update={"dataset_fingerprint": "f" * 64})
    assert [workload.title for workload in summarize([make_record(seed=0), record])] == [
        "digits, wrn10_1 (data=0c8ee7b1)".replace("0c8ee7b1", make_record().dataset_fingerprint[:8]),
        "digits, wrn10_1 (data=ffffffff)",
    ]


def test_more_epochs_of_a_stretched_schedule_stay_on_the_workload(make_record: Make) -> None:
    runs = [make_record(variant="sgd", epochs=epochs, warmup_epochs=epochs / 4) for epochs in (4, 8)]
    assert [row.label for row in only(runs).rows] == ["sgd (epochs=4)", "sgd (epochs=8)"]
    assert [row.settings for row in only(runs).rows] == [{"epochs": 4}, {"epochs": 8}]
    assert len(summarize([*runs, make_record(warmup_epochs=2)])) == 2


def test_a_seed_that_was_measured_twice_counts_once(make_record: Make) -> None:
    runs = [make_record(eval_every=1), make_record(eval_every=2)]
    workload = only(runs)
    assert workload.rows[0].n == 1
    first = min(record.run_id for record in runs)
    assert [item.reason for item in workload.excluded] == [f"the same run as {first[:12]}, measured at other epochs"]


def test_equal_means_are_sorted_by_name(make_record: Make) -> None:
    runs = [make_record(variant=name, hyper={}, seed=seed) for name in ("z", "b", "m") for seed in range(2)]
    assert [row.label for row in only(runs).rows] == ["b", "m", "z"]


def test_settings_distinguish_methods_of_one_name(make_record: Make) -> None:
    runs = [
        make_record(variant="unified_sam", hyper={"rho": 0.2, "lam": "1-1/t"}),
        make_record(variant="unified_sam", hyper={"rho": 0.2, "lam": 0.5}),
        make_record(variant="sam", base="adamw", lr=1e-3),
        make_record(variant="is_sam", sampler="importance"),
    ]
    rows = {row.label: row for row in only(runs).rows}
    assert sorted(rows) == [
        "is_sam + importance",
        "sam on adamw",
        "unified_sam (lam=0.5)",
        "unified_sam (lam=1-1/t)",
    ]
    assert settings(runs)["unified_sam (lam=0.5)"] == "lam=0.5 rho=0.2 lr=0.1"
    assert settings(runs)["sam on adamw"] == "rho=0.05 lr=1e-3"


def test_a_row_is_stale_when_its_variant_behaves_otherwise_not_when_its_text_changed(make_record: Make) -> None:
    runs = [changed(make_record(seed=seed), environment={"behaviour": "then"}) for seed in (0, 1)]
    source = runs[0].variant_source

    def shown(**today: Code) -> str:
        return text_of(assemble(runs, today=today))

    for same in (Code("f" * 64, "then"), Code(source), Code(source, "then")):
        assert "| reproduced |" in shown(sam=same)
    for other in (Code(source, "now"), Code("f" * 64)):
        assert row_of(shown(sam=other), "sam")["Tier"] == "stale"
        assert "- **Stale**, as the variant behaves otherwise today: sam." in shown(sam=other)
    assert "| reproduced |" in shown(asam=Code("f" * 64, "now"))


@pytest.mark.parametrize(("epochs", "said"), [(8, "trains for 8 epochs"), (2, "trains for at most 8 epochs")])
def test_a_track_says_that_tuned_epochs_may_be_fewer(make_record: Make, epochs: int, said: str) -> None:
    (row,) = only([make_record(epochs=epochs, seed=seed) for seed in (0, 1, 2)]).rows
    assert said in track_text(Track(name="E", budget=8, runs=()), [row])


def test_marks_and_warnings(make_record: Make) -> None:
    unverified = make_record(variant_status="reimplementation, unverified")
    other = make_record(seed=1, device_name="a GPU", variant_status="reimplementation, unverified")
    other = changed(other, counters={"forward_evaluations": 12.5}, environment={"device": "cuda"})
    other = other.model_copy(update={"variant_source": "f" * 64})
    text = render([unverified, other])
    assert "| sam †" in text
    assert "**Times mix hardware** and do not compare: a CPU, 2 threads (1 run); a GPU (1 run)." in text
    assert "Forward-only passes, beside the gradient evaluations: sam 6.25." in text
    assert "**More than one version** of the variant's code: sam." in text


def test_times_of_a_busy_machine_do_not_compare(make_record: Make) -> None:
    runs = [make_record(seed=seed) for seed in range(3)]
    assert "Times do not compare" not in render(runs)
    slow = changed(runs[0], timing={"train_seconds": 3 * runs[0].timing.train_seconds})
    assert "- **Times do not compare**: a gradient evaluation took 3.0 times as long" in render([slow, *runs[1:]])


def test_markup_in_names_is_text(make_record: Make) -> None:
    record = make_record(variant="a|b", hyper={"f": "x<y"})
    text = render([record])
    assert "| a\\|b    |" in text
    assert "| f=x&lt;y |" in text


def test_equal_methods_share_a_group(make_record: Make) -> None:
    rng = np.random.default_rng(1)  # the tables of one seed in twenty may split
    names = [f"v{i}" for i in range(10)]
    runs = [
        make_record(variant=name, hyper={}, seed=seed, accuracy=rng.normal(0.95, 0.002), count=10_000)
        for name in names
        for seed in range(5)
    ]
    assert {row.group for row in only(runs).rows} == {"a"}


def test_empty_store(tmp_path: Path) -> None:
    text = render(Store(tmp_path / "none").scan())
    assert "There is no finished run in the store yet" in text
    assert "`sambench quickstart`" in text


def test_write_and_check(tmp_path: Path, board: list[RunRecord], make_record: Make) -> None:
    store, path = Store(tmp_path / "results"), tmp_path / "docs" / "LEADERBOARD.md"
    place = Place.of(store.root, path)

    def pages() -> dict[Path, str]:
        return leaderboard.render(gather(store), place=place)

    with pytest.raises(StateError, match="does not exist; `sambench leaderboard` writes it"):
        leaderboard.check(pages())
    for record in board:
        store.write(record)
    leaderboard.write(pages())
    assert {at: at.read_text() for at in pages()} == pages()
    leaderboard.check(pages())
    store.write(make_record(seed=3, accuracy=0.97))
    with pytest.raises(StateError, match=r"is stale; `sambench leaderboard` writes it anew[^$]*\+\| a     \| sam"):
        leaderboard.check(pages())
    leaderboard.write(pages())
    for at in pages():
        leaderboard.check(pages())
        at.write_bytes(at.read_bytes().replace(b"\n", b"\r\n"))
        with pytest.raises(StateError, match=f"{at.name} is stale"):
            leaderboard.check(pages())
        leaderboard.write(pages())
    left = place.folder / "of-a-suite-that-is-gone.md"
    left.touch()
    with pytest.raises(StateError, match=r"of-a-suite-that-is-gone\.md is no part of this leaderboard"):
        leaderboard.check(pages())
    path.unlink()
    path.mkdir()
    with pytest.raises(StateError, match="cannot read"):
        leaderboard.check(pages())


def test_the_best_held_out_epoch_is_shown_apart_and_ranks_nothing(make_record: Make) -> None:
    """Where every run of a row has a curve of held-out images: its first best epoch, and the error there."""
    records = []
    for variant, accuracy, curves in (
        ("sgd", 0.90, [(0.7, 0.9, 0.8), (0.9, 0.8, 0.9)]),
        ("sam", 0.91, [(0.5, 0.6, 0.6)] * 2),
    ):
        for seed, values in enumerate(curves):
            record = make_record(variant=variant, seed=seed, accuracy=accuracy, epochs=3)
            point = record.curve[0].model_dump()
            curve = [point | {"epoch": i + 1, "validation_accuracy": value} for i, value in enumerate(values)]
            told = {"curve": curve, "best_validation_accuracy": max(values)}
            records.append(RunRecord.model_validate(record.model_dump(mode="json") | told))
    (section,) = assemble(records).sections
    assert {row.label: cells(row, section, {})["Best held-out epoch"] for row in section.workload.rows} == {
        "sam": "2.0 (40.00 %)", "sgd": "1.5 (10.00 %)",
    }  # fmt: skip
    assert "is secondary and no result" in render(records)
    without = {"curve": (), "best_validation_accuracy": None}
    bare = [record if i else record.model_copy(update=without) for i, record in enumerate(records)]
    assert "Best held-out epoch" in render(bare)  # of sam
    assert re.search(r"sgd.* – +\|$", render(bare), flags=re.MULTILINE)
    assert "Best held-out epoch" not in render([record.model_copy(update=without) for record in records])
