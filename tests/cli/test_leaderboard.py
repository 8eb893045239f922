"""The board on a terminal: a line a row, nothing cut, no two rows alike."""

import io

import pytest
from rich.cells import cell_len
from synthetic import build_record

from sambench.benchmarks.suites.suite import load_suite
from sambench.cli import console, leaderboard
from sambench.results.tables.boards import assemble


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize("seeds", [2, 5])
def test_the_board_of_the_quickstart_has_a_line_a_row(monkeypatch: pytest.MonkeyPatch, width: int, seeds: int) -> None:
    specs = {(s.variant, str(s.hyper), s.epochs): s for s in load_suite("quickstart").specs}.values()
    records = [
        build_record(
            variant=spec.variant, hyper=dict(spec.hyper), sampler=spec.sampler, epochs=spec.epochs, seed=seed,
            accuracy=0.9 + 0.01 * seed, variant_status="reimplementation, unverified",
        )
        for spec in specs
        for seed in range(seeds)
    ]  # fmt: skip
    if seeds == 2:  # names for which there is no room
        records += [build_record(variant=f"a_name_of_{'very ' * 18}{end}", hyper={}) for end in ("one", "two")]
    file = io.StringIO()
    out = console._Console(file=file, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(console, "out", out)
    monkeypatch.setattr(leaderboard, "out", out)
    found = assemble(records)
    leaderboard.print_board(found)
    title, heading, *rest = file.getvalue().splitlines()
    lines = [line for line in rest if not line.startswith("- ")]
    (section,) = found.sections
    assert title.strip() == section.workload.title
    assert len(lines) == len(section.workload.rows) == len(specs) + 2 * (seeds == 2)
    assert max(map(cell_len, (heading, *lines))) <= width
    assert len({line.strip() for line in lines}) == len(lines)
    for row, line in zip(section.workload.rows, lines, strict=True):
        assert row.label in line or (len(row.label) > width // 2 and "…" in line)
        assert f"{100 * row.error:.2f}" in line
    if seeds == 5:
        assert [name in heading for name in ("vs sgd", "vs sam")] == [width > 60, width > 80]
