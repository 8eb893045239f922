"""Suites that are put together on the command line, and what is written to start from."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sambench as package
from sambench import cli
from sambench.benchmarks.suites.draft import Changes, draft
from sambench.benchmarks.suites.files import SUITES
from sambench.benchmarks.suites.suite import expand_suite, load_suite
from sambench.benchmarks.suites.toml_text import suite_text
from sambench.errors import SambenchError
from sambench.reading import parse_toml
from sambench.results.records.manifest import read_manifest
from sambench.results.records.store import Store
from sambench.slurm.cluster.profile import load_profile

MADE = "--variants sgd,sam --dataset digits --model mlp --epochs 1 --seeds 0-1 --track G"
FILE = """
tracks = ["G"]
seeds = [0, 1]
[spec]
dataset = "digits"
model = "mlp"
epochs = 1
[[runs]]
variant = "sgd"
[[runs]]
variant = "sam"
"""


def sambench(words, code=0):
    """Run a command line in this process, with the width of a terminal; return what it prints, errors included."""
    result = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"}).invoke(cli.app, shlex.split(words))
    if isinstance(result.exception, SambenchError):
        assert code == 2, result.exception
        return f"{result.output}{result.exception}"
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_suite_made_of_options_has_the_runs_of_the_same_suite_in_a_file(tmp_path):
    (tmp_path / "same.toml").write_text(FILE)
    same = load_suite("same.toml")
    assert "to do" in sambench(f"plan {MADE}")
    assert not (tmp_path / "sambench-results").exists()
    assert "nothing was launched of it yet: `sambench launch --variants" in sambench(f"status {MADE}", 2)
    printed = sambench(f"launch {MADE} --device cpu --on debug")
    assert "4 completed" in printed
    (written,) = (tmp_path / "sambench-results" / "suites").glob("*.toml")
    assert f"suite: {written.relative_to(tmp_path)}" in printed
    assert load_suite(str(written)).run_ids == same.run_ids
    assert {record.run_id for record in Store("sambench-results").records()} == set(same.run_ids)
    manifest = read_manifest(written.with_suffix(".json"))
    assert manifest.command.split() == ["sambench", "launch", *MADE.replace("--track G", "").split(), "--track", "G"]
    for again in (MADE, str(written)):
        assert "4 done" in sambench(f"status {again}")
        assert "already in the store" in sambench(f"plan {again}")


@pytest.mark.parametrize("name", SUITES.names())
def test_a_shipped_suite_is_written_and_read_as_the_same_content(name):
    _, content, folder = SUITES.parse(name)
    text = suite_text(content, "note")
    assert parse_toml(text) == content
    made = draft(name, Changes(track=",".join(content.get("tracks", ["E"]))))
    if "tracks" in content:
        assert expand_suite(made.name, made.content, folder).run_ids == load_suite(name).run_ids


def test_odd_texts_are_written_so_that_they_are_read_again():
    texts = ["a\nb", 'ends with "', 'line\n"', "\\ back\nslash", "é 😀 \x7f \t", "", "\n", '"""\n"""']
    content = {"description": texts[0], "sources": {"a b": "x"}, "runs": [{"hyper": {"x y": t}} for t in texts]}
    assert parse_toml(suite_text(content, "a\nnote")) == content


def test_any_suite_is_launched_with_other_epochs_and_seeds_and_some_of_its_variants(tmp_path):
    changes = Changes(epochs=1, seeds="3,5-6", only="sgd,is_*", track="G")
    made = draft("quickstart", changes)
    suite = expand_suite(made.name, made.content, tmp_path)
    assert {spec.seed for spec in suite.specs} == {3, 5, 6}
    assert {spec.variant for spec in suite.specs} <= {"sgd", "is_sam", "is_usam", "is_unified_sam"}
    assert len(made.name) <= 80
    same = {**SUITES.parse("quickstart")[1], "seeds": [3, 5, 6]}
    same |= {"tracks": ["G"], "spec": {**same["spec"], "epochs": 1}}
    same["runs"] = [entry for entry in same["runs"] if entry["variant"].startswith(("sgd", "is_"))]
    for entry in same["runs"]:
        entry.pop("epochs", None)
        entry.get("grid", {}).pop("epochs", None)
    assert suite.run_ids == expand_suite("same", same, tmp_path).run_ids


@pytest.mark.parametrize("on", ["debug", pytest.param("local", marks=pytest.mark.slow)])  # the latter: in workers
def test_what_a_changed_suite_names_is_found_from_where_it_is_written(on, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mine.py").write_text(
        "from sambench.variants import StepRule, register\n"
        '@register("mine", summary="a step of SGD", paper=None, gradients=1)\n'
        "class Mine(StepRule):\n"
        '    """A step of SGD."""\n'
        "    def update(self, closure):\n"
        "        at = self.gradient(closure)\n"
        "        self.descend(at)\n"
        "        return at.loss\n"
    )
    text = 'plugins = ["mine.py"]\n' + FILE.replace('"sam"', '"mine"') + '[sources]\nown = "imagefolder:images"\n'
    (folder / "own.toml").write_text(text)
    printed = sambench(f"launch elsewhere/own.toml --seeds 0 --device cpu --on {on}")
    assert "2 completed" in printed
    (written,) = (tmp_path / "sambench-results" / "suites").glob("*.toml")
    content = parse_toml(written.read_text())
    assert content["plugins"] == [str(folder / "mine.py")]
    assert content["sources"] == {"own": f"imagefolder:{folder}/images"}
    assert "2 done" in sambench(f"status {written}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"seeds": "0-2"}, {"seeds": "0,2"}),
        ({"only": "s*"}, {"only": "s?m"}),
        ({"dataset": "own=imagefolder:a"}, {"dataset": "own=imagefolder:b"}),
        ({"track": "E,G"}, {"track": "E"}),
    ],
)
def test_what_is_said_otherwise_has_another_name(one, other):
    """A draft is written under its name, and must not replace the one that runs were launched from."""
    names = {draft("importance-sampling", Changes(**said)).name for said in (one, other)}
    assert len(names) == 2
    assert all(re.fullmatch(r"[\w.+-]{1,80}", name) for name in names)


def test_a_launch_says_the_command_that_makes_it_again(tmp_path):
    (tmp_path / "a suite.toml").write_text(FILE.replace("[0, 1]", "[0]"))
    (tmp_path / "mine.py").write_text(STUDY.replace('"mine"', '"another"'))
    sambench(f"launch 'a suite.toml' --device cpu --on debug --plugin {tmp_path}/mine.py")
    command = read_manifest(tmp_path / "sambench-results" / "suites" / "a suite.json").command
    assert shlex.split(command) == ["sambench", "launch", "a suite.toml", "--plugin", "mine.py"]


def test_a_plan_repeats_what_is_to_be_kept():
    assert "--keep weights" in sambench(f"plan {MADE} --keep weights").partition("next:")[2]


def test_files_of_others_are_not_replaced(tmp_path):
    sambench(f"launch {MADE} --device cpu --on debug")
    own = tmp_path / "own"
    own.mkdir()
    for name in ("index.html", "notes.md"):
        (own / name).write_text("mine")
    for words in (
        "site --output own",
        "site --single --output own/notes.md",
        "leaderboard --output own/notes.md",
        "study page --output own/notes.md",
    ):
        assert "was not written by this command" in sambench(words, 2)
    assert {path.read_text() for path in own.iterdir()} == {"mine"}
    for _ in range(2):
        sambench("leaderboard --output LEADERBOARD.md")
        sambench("study page --output STUDIES.md")


def test_a_damaged_record_is_told_where_results_are_shown(tmp_path, caplog):
    sambench(f"launch {MADE} --device cpu --on debug --keep weights")
    damaged = next((tmp_path / "sambench-results" / "runs").glob("*.json"))
    damaged.write_text("{")
    assert damaged.name in "".join(sambench("leaderboard").split())
    sambench("compare sgd sam")
    assert damaged.name in caplog.text
    assert damaged.name in "".join(sambench("publish public", 2).split())
    assert not (tmp_path / "public").exists()
    listed = sambench("models --check", 2)
    assert "its record cannot be read" in " ".join(listed.split())
    assert " ".join(listed.split()).count("on digits, seed") == 3


STUDY = """
from sambench.benchmarks.studying.evidence import within_seed
from sambench.benchmarks.studying.registry import Finding, Part, study
from sambench.results.statistics.verdicts import exceeds

@study("mine", "SAM helps.", papers=("nobody",), setting="two runs", departs="in all", suite="own", rule="a t-interval",
       measures="margin", points=(0,))
def mine(evidence):
    first, last = ([evidence.measured(label, name) for name in ("sgd", "sam")] for label in ("margin@0", "margin"))
    assert first[0] == first[1] != last[1] != last[0]
    part = Part("less error", exceeds(within_seed((1, evidence.errors("sgd")), (-1, evidence.errors("sam"))), 0.5))
    return Finding(part.verdict.outcome, (part,))
"""


def test_a_study_beside_its_suite_goes_all_the_way(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mine.py").write_text(STUDY)
    missing = sambench("study plan mine --plugin elsewhere/mine.py", 2)
    assert f"no file {folder}/own.toml" in missing
    kept = '[keep]\nweights = true\nat = [0]\n[predictions]\nmine = "SAM has less error."\n'
    (folder / "own.toml").write_text(FILE + kept)
    sambench("study plan mine --plugin elsewhere/mine.py")
    made = sambench("study run mine --plugin elsewhere/mine.py --device cpu --on debug")
    assert "4 completed" in made
    assert "4 measurements made" in made
    assert "cannot be judged: a verdict takes 3 seeds" in " ".join(made.split())
    assert "next: sambench study run mine --plugin elsewhere/mine.py" in " ".join(made.split())
    assert "SAM has less error." in " ".join(sambench("study describe mine").split())
    sambench("study page --output STUDIES.md")
    assert "SAM has less error." in (tmp_path / "STUDIES.md").read_text()


def test_a_suite_that_is_code_says_what_it_loads(tmp_path, caplog):
    (tmp_path / "own.toml").write_text('plugins = ["mine.py"]\n[[runs]]\nvariant = "mine"\n')
    assert "plugin 'mine.py' does not exist" in sambench("plan own.toml", 2).replace(f"{tmp_path}/", "")
    (tmp_path / "mine.py").write_text(
        "from sambench.benchmarks.models import register_model\n"
        "import torch\n"
        '@register_model("mine", "a line")\n'
        "def mine(task):\n"
        "    return torch.nn.Flatten()\n"
    )
    (tmp_path / "own.toml").write_text('plugins = ["mine.py"]\n[[runs]]\nvariant = "sgd"\nmodel = "mine"\n')
    with caplog.at_level("INFO"):
        assert load_suite("own.toml").plugins == (str(tmp_path / "mine.py"),)
    assert f"suite own loads the code of {tmp_path / 'mine.py'}: mine" in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("launch", "name a suite (`sambench list suites`), or variants"),
        ("launch --variants sgd,samm", "did you mean 'sam'"),
        ("launch --variants sgd,,sam", "names separated by commas, each once"),
        ("launch quickstart --variants sgd", "choose with --only"),
        ("launch quickstart --only samm", "unknown variant of the suite 'samm'; did you mean 'sam'"),
        ("launch quickstart --seeds 4-0", "--seeds '4-0' is not valid"),
        ("launch quickstart --seeds 0,0", "each seed once"),
        ("launch quickstart --seeds 0-99999999", "10,000 at most"),
        ("launch quickstart --track H", "unknown track 'H'"),
        ("launch quickstart --dataset digit", "did you mean 'digits'"),
        ("plan quickstart --model wrn17_4", "nearest valid: 16 and 22"),
        ("launch digits --seeds 0", "`sambench tune digits` writes one"),
        ("launch own.toml --epochs 3", "[[runs]] number 1 says epochs itself"),
        ("new suite digits", "ships with sambench"),
        ("new suite My", "is not valid"),
        ("new suites mine", "write new NAME"),
        ("new suite", "a suite needs a name"),
        ("measure bbcb --what margin", "of the id of a run give six digits at least"),
        ("run --init 035c", "give the first digits of its id, six at least"),
        ("run --variant sam --set rho=0.1 --set rho=0.2", "--set rho is given twice"),
        ("surface 035c035c --set options=1", "--set options is no setting of a slice"),
        ("surface 035c035c --set dimensions", "write NAME=VALUE"),
        ("launch quickstart --on debug --workers 4", "--workers means nothing with --on debug"),
        ("merge nowhere", "nowhere is not a folder of results"),
        ("study page", "there are no records in"),
    ],
)
def test_what_cannot_be_meant_is_a_message_and_writes_nothing(words, message, tmp_path):
    (tmp_path / "own.toml").write_text('[[runs]]\nvariant = "sgd"\nepochs = 2\n')
    assert message in " ".join(sambench(words, 2).split())
    assert not list(tmp_path.glob("sambench-results/suites/*"))


def test_a_new_suite_is_commented_and_runs_as_it_stands(tmp_path):
    printed = sambench("new suite mine --folder sub")
    assert "wrote sub/mine.toml; next: sambench plan sub/mine.toml" in printed
    text = (tmp_path / "sub" / "mine.toml").read_text()
    assert text.count("#") > 10
    assert max(map(len, text.splitlines())) <= 120
    assert "6 completed" in sambench("launch sub/mine.toml --epochs 1 --device cpu --on debug")
    assert "exists already" in sambench("new suite mine --folder sub", 2)
    assert (tmp_path / "sub" / "mine.toml").read_text() == text


def test_changes_name_every_option():
    everything = Changes("sgd,sam", "digits", "mlp", 1, "0", "sam", "E")
    assert None not in dataclasses.astuple(everything)
    assert everything.words().count("--") == len(dataclasses.fields(Changes))


def test_the_profile_of_the_page_on_imagenet_is_one(tmp_path):
    page = (Path(package.__file__).parent / "docs" / "imagenet.md").read_text()
    (text,) = re.findall(r"^```toml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "imagenet.toml").write_text(text)
    assert load_profile("imagenet.toml", {}).memory_gb == 64
