"""The script for a GPU ends by itself, whatever hangs in it, and keeps what it measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sambench

SPEED = Path(sambench.__file__).parent / "benchmarks" / "speed"
HANGS = """
import sys, time
sys.path.insert(0, sys.argv.pop(1))
import gpu

def measured(bench):
    yield gpu.Line("a first part", 1.0, "s")

def hangs(bench):
    while True:
        time.sleep(1)
    yield

gpu.END, gpu.PARTS = 2.0, (measured, hangs)
gpu.main()
"""


@pytest.mark.slow
def test_the_script_ends_by_itself_and_keeps_what_it_has(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HANGS, str(SPEED), "--cpu", "--output", str(tmp_path / "gpu.json")]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "no time was left: ended after 2 s" in ended.stdout
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [line["what"] for line in found["lines"]] == ["a first part"]
    assert found["environment"]["torch"]
