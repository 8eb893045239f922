"""The command line as a process: what it is given to print to may be full, narrow or gone."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sambench import __main__, cli
from sambench.benchmarks.suites.files import list_suites

FULL = Path("/dev/full")


def sambench(*words: str, **options) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "sambench", *words], env=environment, text=True, stderr=subprocess.PIPE, **options
    )


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["list", "suites", "--json"]], ids=" ".join)
def test_a_full_device_is_told_in_one_line(words: list[str]) -> None:
    with FULL.open("w") as full:
        ended = sambench(*words, stdout=full)
    assert (ended.returncode, ended.stderr) == (2, "error: cannot print: there is no space left where it goes\n")


@pytest.mark.parametrize("columns", ["0", "00", ""])
def test_a_width_of_nothing_is_no_width(columns: str) -> None:
    ended = sambench("--help", stdout=subprocess.PIPE, env={"COLUMNS": columns})
    assert ended.returncode == 0
    assert "A benchmark suite for Sharpness-Aware Minimization" in ended.stdout


def test_what_is_piped_is_not_broken_into_lines() -> None:
    ended = sambench("list", "suites", stdout=subprocess.PIPE, env={"COLUMNS": "40"})
    assert len(ended.stdout.splitlines()) == 1 + len(list_suites())


def test_letters_that_the_terminal_lacks_are_written_out() -> None:
    ended = sambench("list", "\u4e2d", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    assert "unknown list '\\u4e2d'" in ended.stderr


@pytest.mark.parametrize("number", sorted(cli._OF_THE_MACHINE))
@pytest.mark.parametrize("file", [None, "a[/red]"])
def test_failures_of_the_machine_are_told(
    number: int, file: str | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise OSError(number, os.strerror(number), file)

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    text = capfd.readouterr().err
    assert ended.value.code == 2
    assert text.startswith(f"error: cannot use {file}: " if file else "error: cannot ")
    assert text.count("\n") == 1


def test_other_failures_are_no_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "a mistake of ours")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(FileNotFoundError):
        cli.main()


def test_an_interrupt_while_it_is_imported_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 128 + signal.SIGINT
