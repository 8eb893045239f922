"""docs/own-loop.md does what it shows: its Python runs, section by section, on tiny models."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import nn

import sambench

TEXT = (Path(sambench.__file__).parent / "docs" / "own-loop.md").read_text()
SECTIONS = dict(zip(*[iter(re.split(r"^## (.*)\n", TEXT, flags=re.MULTILINE)[1:])] * 2, strict=True))
ELSEWHERE = {"Several devices", "Lightning", "Hugging Face Trainer", "What is refused"}
"""Sections with a test of their own; the last one is tests/variants/test_any_loop.py's."""
EXPECTED = ELSEWHERE | {
    *("A closure", "The oracle", "Mixed precision", "Accumulation and clipping", "Schedulers", "Checkpoints"),
    "Settings of a group",
}


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


IMPORTS = blocks(TEXT)[0]


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 8)
        self.out = nn.Linear(8, 7)

    def forward(self, tokens):
        return self.out(self.embedding(tokens))


@pytest.fixture
def names(tmp_path):
    """What the page says that its snippets share, and what earlier sections define."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    loader = [(torch.randn(8, 3, 8, 8), torch.randint(5, (8,))) for _ in range(3)]
    tokens = torch.randint(7, (4, 6))
    found = {
        "model": model,
        "loader": loader,
        "epochs": 1,
        "path": tmp_path / "checkpoint.pt",
        "x": loader[0][0],
        "y": loader[0][1],
        "batch": loader[0],
        "language_model": LanguageModel(),
        "sharded": nn.Sequential(nn.Flatten(), nn.Linear(192, 5)),
        "token_loader": [{"tokens": tokens[:, :-1], "next": tokens[:, 1:]}],
        "token_data": [{"tokens": row[:-1], "next": row[1:]} for row in torch.randint(7, (24, 6))],
        "silent": {"output_dir": str(tmp_path), "use_cpu": True, "report_to": [], "disable_tqdm": True},
        "quiet": {
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "default_root_dir": tmp_path,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
    }
    exec(compile(IMPORTS, "own-loop.md", "exec"), found)
    exec(compile(blocks(SECTIONS["The oracle"])[0], "own-loop.md", "exec"), found)
    return found


@pytest.fixture
def group(tmp_path):
    """A process group of one."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_the_page_is_read_whole():
    assert set(SECTIONS) == EXPECTED
    assert len(blocks(TEXT)) == 1 + sum(len(blocks(text)) for text in SECTIONS.values())


@pytest.mark.parametrize("section", sorted(EXPECTED - ELSEWHERE))
def test_the_snippets_run(section, names, capsys):
    weight = names["model"][0].weight
    before = weight.detach().clone()
    for block in blocks(SECTIONS[section]):
        exec(compile(block, "own-loop.md", "exec"), names)
    assert section == "Checkpoints" or not torch.equal(weight, before)
    assert all(torch.isfinite(p).all() for p in names["model"].parameters())


def test_the_snippets_of_several_devices_run(names, group):
    for block in blocks(SECTIONS["Several devices"]):
        model = names["sharded"][1:] if "fully_shard" in block else names["model"]
        before = model[0].weight.detach().clone()
        exec(compile(block, "own-loop.md", "exec"), names)
        now = model[0].weight
        assert not torch.equal(now.full_tensor() if "fully_shard" in block else now, before)


@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="lightning is not installed")
@pytest.mark.filterwarnings("ignore")  # its own
def test_the_snippets_of_lightning_run(names):
    moves = names["model"][1].num_batches_tracked
    names["loader"] = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.randn(24, 3, 8, 8), torch.randint(5, (24,))), batch_size=8
    )
    for block, expected in zip(blocks(SECTIONS["Lightning"]), (3, 6), strict=True):
        moves.zero_()
        exec(compile(block, "own-loop.md", "exec"), names)
        assert names["trainer"].global_step == 3
        assert int(moves) == expected, "BatchNorm moves once a step with the oracle, twice with a plain closure"


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.filterwarnings("ignore")  # its own
def test_the_snippet_of_the_trainer_runs(names, monkeypatch):
    root = Path(sambench.__file__).parent.resolve()  # has a folder called like a package that transformers looks for
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).resolve() != root])
    (block,) = blocks(SECTIONS["Hugging Face Trainer"])
    exec(compile(blocks(SECTIONS["The oracle"])[1].split("optimizer =")[0], "own-loop.md", "exec"), names)
    before = names["language_model"].out.weight.detach().clone()
    exec(compile(block, "own-loop.md", "exec"), names)
    trainer = names["trainer"]
    assert trainer.state.global_step == 3 == trainer.optimizer.optimizer.steps
    assert trainer.oracle.counters.gradient_evaluations == 6
    assert trainer.lr_scheduler.get_last_lr() == [0.0]
    assert not torch.equal(names["language_model"].out.weight, before)
