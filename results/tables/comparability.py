"""Which runs may be compared: a workload is what two runs must share, a method is what is compared.

A spec has three parts. The *method* is what is compared: the variant and its settings. ``seed`` and ``eval_every``
tell apart runs of one method on one workload: which run it is and how often it was measured. All other keys, with the
fingerprint of the data, are the *workload*, unknown keys included: in doubt two runs are not compared.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ...plain_text import printable
from ..records.record import canonical_json, frozen

METHOD = (
    "variant",
    "base",
    "sampler",
    "average",
    "hook",
    "hyper",
    "lr",
    "momentum",
    "nesterov",
    "weight_decay",
    "batch_schedule",
    "batch_growth",
    "rho_schedule",
    "epochs",
)
"""Spec keys that belong to the method. Epochs are among them: at equal cost a cheaper variant trains for more."""

SETTING = ("variant", "base", "sampler", "hyper", "lr", "momentum", "nesterov", "weight_decay")
"""Spec keys that a search may choose, with those that it chooses them for (variant, base, sampler)."""

REPETITION = ("seed", "eval_every")
"""Spec keys that tell apart runs of one method on one workload."""

_TITLE = ("dataset", "model")
_NEUTRAL = {"accumulate": 1, "imbalance": 1, "norm": "batch", "sampler": "uniform", "split": "full"}
_ONLY_WITH = {
    "noise_kind": lambda spec: spec.get("noise"),
    "milestones": lambda spec: spec.get("schedule") == "multistep" or spec.get("batch_schedule") == "doubling",
    "gamma": lambda spec: spec.get("schedule") == "multistep",
}


class Specified(Protocol):
    """A record, or what was kept of one."""

    @property
    def spec(self) -> dict[str, Any]:
        """Fully resolved spec of the run."""
        ...

    @property
    def dataset_fingerprint(self) -> str:
        """Sha256 of the decoded data set."""
        ...


def workload_of(record: Specified) -> dict[str, Any]:
    """Return what a run shares with every run it may be compared with.

    Warm-up is written as a share of the run, so that a method that trains for more epochs at the same cost, with its
    schedule stretched, keeps the workload.
    """
    apart = {*METHOD, *REPETITION, "warmup_epochs"}
    shared = {key: value for key, value in record.spec.items() if key not in apart}
    shared["data"] = record.dataset_fingerprint
    if "warmup_epochs" in record.spec and "epochs" in record.spec:
        shared["warmup"] = round(record.spec["warmup_epochs"] / record.spec["epochs"], 9)
    return shared


def method_of(record: Specified) -> dict[str, Any]:
    """Return what was compared: the spec's :data:`METHOD` keys, each hyper-parameter as ``hyper.<name>``."""
    method = {key: record.spec[key] for key in METHOD if key in record.spec and key != "hyper"}
    return method | {f"hyper.{key}": value for key, value in record.spec.get("hyper", {}).items()}


def chooses_hyper(record: Specified) -> bool:
    """Tell whether a run is a trial of a search, measured on the held-out part of the training set."""
    return record.spec.get("split") == "search"


def key_of(part: Mapping[str, Any]) -> str:
    """Return a text that is equal for two workloads, or two methods, exactly when they are the same."""
    return canonical_json(part)


def identity_of(record: Specified) -> bytes:
    """Return bytes that are equal only for runs of one method on one workload; cheaper than :func:`key_of`.

    They may differ for runs of one method whose specs list the same keys in another order.
    """
    spec = record.spec.copy()
    for key in REPETITION:
        spec.pop(key, None)
    return frozen((record.dataset_fingerprint, spec))


def setting_of(spec: Mapping[str, Any]) -> str:
    """Return a text that is equal for two specs exactly when variant and settings are; epochs do not count.

    Example:
        >>> setting_of({"variant": "sam", "hyper": {"rho": 1}}) == setting_of({"variant": "sam", "hyper": {"rho": 1.0}})
        True
    """
    return canonical_json([_as_float(spec.get(key)) for key in SETTING])


def titles(workloads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name workloads by data set and model, and where names are equal also by the keys that differ.

    Example:
        >>> titles([{"dataset": "digits", "model": "a", "noise": n} for n in (0.0, 0.2)])
        ['digits, a (noise=0)', 'digits, a (noise=0.2)']
    """
    names = [", ".join(str(workload[key]) for key in _TITLE if key in workload) for workload in workloads]
    return _distinct(names, workloads)


def labels(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name methods by variant and plug-ins, and where names are equal also by the keys that differ.

    A single key is added if it distinguishes all of them; keys with text values come first, then hyper-parameters.

    Example:
        >>> labels([{"variant": "sgd", "epochs": 20}, {"variant": "sgd", "epochs": 40}, {"variant": "sam"}])
        ['sgd (epochs=20)', 'sgd (epochs=40)', 'sam']
    """
    return _distinct([short_name(method) for method in methods], methods)


def short_name(method: Mapping[str, Any]) -> str:
    """Name a method by its variant and by base, sampler and plug-ins where they are not the defaults."""
    base, sampler = method.get("base") or "sgd", method.get("sampler") or "uniform"
    parts = [str(method["variant"]), *([f"on {base}"] if base != "sgd" else [])]
    parts += [f"+ {sampler}"] if sampler != "uniform" else []
    absent = (None, "", "none", method["variant"])  # a variant that is its base with a plug-in bears the plug-in's name
    parts += [f"+ {method[key]}" for key in ("average", "hook") if method.get(key) not in absent]
    return " ".join(parts)


def brief_name(name: str, most: int = 100) -> str:
    """Return a name as tables and figures show it: printable, and so short that there is room for it.

    What is left out of a long one goes into a hash that tells it apart.
    """
    name = printable(name, keep="")
    return name if len(name) <= most else f"{name[: most - 9]}…{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def file_name(text: str) -> str:
    """Return a name as a part of the name of a file: letters, digits and ``_ . = + -`` only, no path."""
    return re.sub(r"[^\w.=+]+", "-", brief_name(text)).strip("-.")


def common(methods: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings that all methods of a table share, other than the variant and its hyper-parameters."""
    keys = [key for key in METHOD if key not in ("variant", "hyper")]
    differing = set(varying(methods, keys))
    return {key: methods[0][key] for key in keys if methods and key in methods[0] and key not in differing}


def varying(parts: Sequence[Mapping[str, Any]], keys: Iterable[str] | None = None) -> list[str]:
    """List the keys whose values differ among the given parts, sorted; absent counts as a value."""
    candidates = {key for part in parts for key in part} if keys is None else keys
    return sorted(key for key in candidates if len({_text(part.get(key)) for part in parts}) > 1)


def protocol(workload: Mapping[str, Any]) -> str:
    """Write a workload in one line: ``batch_size=128 schedule=cosine``. Neutral defaults are left out, as are options
    of a feature that is off."""
    shown = {
        key: value
        for key, value in sorted(workload.items())
        if key not in (*_TITLE, "data")
        and value not in (None, False, "", 0)
        and _NEUTRAL.get(key) != value
        and _ONLY_WITH.get(key, lambda _: True)(workload)
    }
    return " ".join(f"{key}={write(value)}" for key, value in shown.items())


def write(value: Any) -> str:
    """Write a value of a spec as briefly as it can be read: 0.0005 as ``5e-4``, lists with commas, of a hash 8 digits.

    Example:
        >>> [write(value) for value in (0.0005, 0.1, 20, True, None, "1-1/t", [0.5, 0.75])]
        ['5e-4', '0.1', '20', 'on', 'none', '1-1/t', '0.5,0.75']
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    if isinstance(value, float):
        text = f"{value:.6g}"
        mantissa, letter, exponent = f"{value:e}".partition("e")
        short = f"{float(mantissa):.6g}{letter}{int(exponent)}"
        return short if len(short) < len(text) else text
    if isinstance(value, list | tuple):
        return ",".join(map(write, value))
    if isinstance(value, str | int):
        return text[:8] if re.fullmatch("[0-9a-f]{64}", text := str(value)) else text
    return canonical_json(value)


def _distinct(names: Sequence[str], parts: Sequence[Mapping[str, Any]]) -> list[str]:
    alike = defaultdict[str, list[Mapping[str, Any]]](list)
    for name, part in zip(names, parts, strict=True):
        alike[name].append(part)
    keys = {name: _distinguishing(found) for name, found in alike.items() if len(found) > 1}
    result = []
    for name, part in zip(names, parts, strict=True):
        settings = {
            key.removeprefix("hyper."): write(part[key]) for key in keys.get(name, ()) if part.get(key) is not None
        }
        details = " ".join(f"{key}={value}" for key, value in settings.items())
        result.append(brief_name(f"{name} ({details})" if details else name))
    return result


def _distinguishing(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the one key whose value differs in every part, or else all keys in which some differ."""

    def preference(key: str) -> tuple[bool, bool, str]:
        return not any(isinstance(part.get(key), str) for part in parts), not key.startswith("hyper."), key

    keys = varying(parts)
    sufficient = [key for key in keys if len({_text(part.get(key)) for part in parts}) == len(parts)]
    return sorted(sufficient, key=preference)[:1] or keys


def _text(value: Any) -> str:
    """Return a text that is equal for two values exactly when their canonical JSON is; fast for numbers and strings."""
    return canonical_json(value) if isinstance(value, dict | list | tuple) else repr(value)


def _as_float(value: Any) -> Any:
    """Convert integers to floats, since a suite in TOML may lose that difference."""
    if isinstance(value, Mapping):
        return {key: _as_float(part) for key, part in value.items()}
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
