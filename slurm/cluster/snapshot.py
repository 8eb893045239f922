"""A copy of the package and the plug-ins, made at submission: jobs run the code that was submitted.

Jobs import ``sambench`` from the copy. What git says about the original (commit, uncommitted changes) is written beside
it and goes into every record.
"""

import json
import shutil
from pathlib import Path

from ...atomic import make_folder, write_failure
from ...benchmarks.training.environment import SOURCE, file_state, package_files, source_state
from ...registry import module_of_plugin

PACKAGE = Path(__file__).resolve().parents[2]


def take_snapshot(folder: Path, plugins: tuple[str, ...], package: Path = PACKAGE) -> tuple[str, ...]:
    """Copy the package to ``folder/sambench`` and the plug-ins to ``folder/plugins``.

    Only what can be imported is copied, with the data files of its packages: no records, tests or documents.

    Args:
        folder: where; it is put on ``PYTHONPATH``.
        plugins: Python files that register plug-ins of any kind; or modules, which stay where they are installed.
        package: the folder of the package.

    Returns:
        The paths of the copied plug-ins, and the modules.

    Raises:
        StateError: the folder cannot be written.
    """
    target = make_folder(folder / "sambench")
    commit, dirty = source_state(package)
    try:
        for path in package_files(package):
            place = target / path.relative_to(package)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        (target / SOURCE).write_text(json.dumps({"commit": commit, "dirty": dirty}))
        copies = []
        for number, plugin in enumerate(plugins):
            if module_of_plugin(plugin):
                copies.append(plugin)
                continue
            place = make_folder(folder / "plugins" / str(number)) / Path(plugin).name
            shutil.copyfile(plugin, place)
            commit, dirty = file_state(Path(plugin).resolve())
            (place.parent / SOURCE).write_text(json.dumps({"commit": commit, "dirty": dirty}))
            copies.append(str(place))
    except OSError as error:
        raise write_failure(error, folder) from error
    return tuple(copies)
