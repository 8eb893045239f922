"""The package: a loop that fits on a screen, cheap imports, examples that run, nothing but sambench in a wheel."""

import ast
import doctest
import importlib
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

import sambench

ROOT = Path(sambench.__file__).parent
COMMON = ("atomic", "errors", "figure_style", "hyper", "lazy", "markdown")
COMMON += ("plain_text", "reading", "registry", "seeding", "units")
ROOMS = ("variants", "datasets", "results", "benchmarks", "slurm", "cli")
LOOP = 80
SLOW_IMPORTS = {
    *("torchvision", "torch._dynamo", "timm", "scipy", "sklearn", "numba"),
    *("pandas", "matplotlib", "submitit"),
    *("pyarrow", "PIL", "torch.distributed.run"),
}
STARTED_AND_TRAINED = """
import sys, tempfile
import sambench.cli, sambench.cli.run, sambench.slurm.cluster.job
from sambench.benchmarks.suites.suite import load_suite
load_suite("cifar10-smoke")
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.training.run import run_spec
from sambench.results.records.store import Store
run_spec(make_spec({"dataset": "digits", "model": "mlp", "epochs": 1}), Store(tempfile.mkdtemp()))
print(*sys.modules)
"""
LIGHT = {
    "import sambench": "import sambench",
    "--help": "sys.argv = ['sambench', '--help']",
    "--version": "sys.argv = ['sambench', '--version']",
    "list suites": "sys.argv = ['sambench', 'list', 'suites']",
    "status": "sys.argv = ['sambench', 'status', 'quickstart']",
    "launch --help": "sys.argv = ['sambench', 'launch', '--help']",
}
"""What starts without torch: statement that comes before the command line is run."""


def modules():
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def test_the_training_loop_fits_on_a_screen_and_knows_no_variant():
    source = (ROOT / "benchmarks" / "training" / "loop.py").read_text()
    loop = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "train")
    assert loop.end_lineno - loop.lineno + 1 <= LOOP
    from sambench.variants import list_variants

    assert not [info.name for info in list_variants() if f'"{info.name}"' in source]


def test_every_package_is_declared():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = set(config["tool"]["setuptools"]["packages"])
    there = {
        ".".join(["sambench", *path.parent.relative_to(ROOT).parts]) for path in modules() if path.name == "__init__.py"
    }
    assert there <= declared
    assert declared - there == {"sambench"}


def test_every_file_of_a_package_is_in_a_wheel():
    """What a package has beside its modules is declared as its data, those of the transcriptions included."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    data = config["package-data"]
    missing = []
    for package in config["packages"][1:]:
        folder = ROOT.joinpath(*package.split(".")[1:])
        folders = [folder, *(path for path in [folder / "transcriptions"] if path.is_dir())]
        for path in (path for place in folders for path in place.iterdir() if path.is_file()):
            name = path.relative_to(folder).as_posix()
            patterns = [*data["*"], *data.get(package, ())]
            if not (path.parent == folder and path.suffix == ".py") and not any(fnmatch(name, p) for p in patterns):
                missing.append(f"{package}: {name}")
    assert missing == []
    assert not (ROOT / "variants" / "transcriptions" / "__init__.py").exists()  # no modules of the registry


def test_what_takes_seconds_to_import_is_imported_where_it_is_needed():
    """Every job and every command starts so, and reads a suite; a small run is over before slow imports would be."""
    ended = subprocess.run([sys.executable, "-c", STARTED_AND_TRAINED], capture_output=True, text=True, check=True)
    assert "torch" in ended.stdout.split()
    assert not SLOW_IMPORTS & set(ended.stdout.split())


@pytest.mark.parametrize("what", LIGHT)
def test_what_needs_no_torch_loads_none(what, tmp_path):
    """``status`` expands a suite once with torch and reads it from the cache from then on."""
    program = f"import sys\n{LIGHT[what]}\n"
    if what != "import sambench":
        program += (
            "import sambench.cli\ntry:\n    sambench.cli.main()\nexcept SystemExit as e:\n    assert not e.code\n"
        )
    program += "print('loaded:', *sorted({'torch', 'scipy', 'pandas'} & set(sys.modules)))"
    command = [sys.executable, "-c", program]
    if what == "status":
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ended.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize("name", sambench.__all__)
def test_every_public_name_is_there(name):
    assert getattr(sambench, name).__name__ == name


def test_benchmarks_of_speed_name_what_is_there():
    """They are run by hand: a name that has moved would be noticed late."""
    for path in (ROOT / "benchmarks" / "speed").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sambench"):
                exec(ast.unparse(node), {})


@pytest.mark.parametrize("room", ROOMS)
def test_examples_in_docstrings_run(room):
    attempted = 0
    for path in sorted((ROOT / room).rglob("*.py")):
        if "speed" in path.parts:
            continue
        name = ".".join(["sambench", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        failed, tried = doctest.testmod(importlib.import_module(name))
        assert failed == 0, name
        attempted += tried
    assert attempted > 0 or room == "slurm"


@pytest.mark.parametrize("name", COMMON)
def test_examples_of_the_common_ground_run(name):
    failed, tried = doctest.testmod(importlib.import_module(f"sambench.{name}"))
    assert (failed, tried > 0) == (0, True)


def test_mutants_that_do_not_matter_are_mutants(monkeypatch):
    """`make mutation` refuses a list that the code has left behind."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "mutation")
    run = importlib.import_module("run")
    assert run.listed(run.all_mutants(tomllib.loads((run.HERE / "rooms.toml").read_text())))
