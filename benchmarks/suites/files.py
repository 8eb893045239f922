"""Where suites are: those that ship with sambench, and TOML files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...reading import TomlFiles
from .toml_text import suite_text

AT_SCALE = "-at-scale"
"""What the name of a suite ends with where it is taken at the size of the papers: as its table ``[at_scale]`` says."""


class SuiteFiles(TomlFiles):
    """Suites by name or path; a shipped one with a table ``[at_scale]`` is another suite by a second name."""

    def read(self, name_or_path: str) -> tuple[str, str, Path]:
        base = name_or_path.removesuffix(AT_SCALE)
        if base == name_or_path or base not in self.names():
            return super().read(name_or_path)
        _, content, folder = self.parse(base)
        if "at_scale" not in content:
            raise ConfigError(f"suite {base!r} does not say what it is at the size of the papers: it has no [at_scale]")
        return name_or_path, suite_text(at_scale(base, content), f"Suite {base} by its table at_scale."), folder


def at_scale(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a suite with the fields of its table ``[at_scale]`` in place of those of ``[spec]``.

    A subset is one of its data set, and is left out with it. Hyper-parameters of ``[at_scale]`` take the place of those
    that runs name, and its predictions that of those of the same studies. Its ``replaced`` says of fields that runs
    name themselves what stands for each value: ``replaced = { epochs = { 2 = 20 } }``.

    Args:
        name: of the suite.
        content: of its file.
    """
    made = dict(content)
    fields = dict(made.pop("at_scale"))
    hyper, predictions, replaced = (fields.pop(key, {}) for key in ("hyper", "predictions", "replaced"))

    def large(run: dict[str, Any]) -> dict[str, Any]:
        found = {key: _replaced(value, replaced.get(key, {})) for key, value in run.items()}
        if "grid" in run:
            found["grid"] = {key: _replaced(value, replaced.get(key, {})) for key, value in run["grid"].items()}
        if "hyper" in run:
            found["hyper"] = {key: hyper.get(key, value) for key, value in run["hyper"].items()}
        return found

    return {
        **made,
        "runs": list(map(large, content["runs"])),
        **({"predictions": {**content["predictions"], **predictions}} if "predictions" in content else {}),
        "title": fields.pop("title"),
        "description": f"For who has GPUs: the methods, settings, seeds and predictions of {name} at the size of the "
        "papers.\n\nNothing has been concluded yet: no run has been made.\n",
        "spec": {key: value for key, value in content["spec"].items() if key != "subset"} | fields,
    }


def _replaced(value: Any, by: Mapping[str, Any]) -> Any:
    return [by.get(str(one), one) for one in value] if isinstance(value, list) else by.get(str(value), value)


SUITES = SuiteFiles("suite", __name__.rpartition(".")[0])
list_suites = SUITES.names
