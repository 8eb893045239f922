"""What continuous integration and the forms name is there."""

import re
from pathlib import Path

import pytest
import yaml

import sambench
from sambench.cli import PLACES

ROOT = Path(sambench.__file__).parent
FILES = sorted(path for path in (ROOT / ".github").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_and_file_that_is_named_exists(path):
    text = path.read_text()
    content = yaml.safe_load(text) if path.suffix == ".yml" else None
    assert content != {}
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:run: |`)make ([\w-]+)", text)) <= set(targets)
    assert set(re.findall(r"(?:/|`)sambench ([a-z]+)", text)) <= PLACES.keys()
    assert not [name for name in re.findall(r"docs/[\w-]+\.md", text) if not (ROOT / name).is_file()]


def test_forms_have_what_their_host_requires():
    for path in (path for path in FILES if path.parent.name == "ISSUE_TEMPLATE" and path.name != "config.yml"):
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= form.keys()
        assert all("label" in part["attributes"] for part in form["body"])
        assert len({part["id"] for part in form["body"]}) == len(form["body"])
