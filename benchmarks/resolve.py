"""From what was asked for to a fully resolved spec: defaults, plug-ins, and every problem of it in one message."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ..datasets import DATASETS, Augmentation
from ..datasets.samplers import SAMPLERS
from ..errors import ConfigError, explain, unknown
from ..hyper import Hyper, resolve
from ..variants import VariantInfo, get_info
from ..variants._bases import base_hyper, check_apart
from ..variants.averages import AVERAGES
from ..variants.hooks import HOOKS
from .m_sharpness import M, check_m, without_whole_batch
from .models import parameters_of
from .spec import ADDED, FIELD_OF_BASE, RunSpec


def make_spec(given: Mapping[str, Any]) -> RunSpec:
    """Resolve a run: check every field, and fill in what depends on variant and data set.

    Args:
        given: fields of :class:`RunSpec`; ``hyper`` may be partial.

    Raises:
        ConfigError: with all errors at once, each with the nearest valid names.
    """
    valid = RunSpec.model_fields
    problems = [str(unknown("field", key, valid)) for key in given if key not in valid]
    fields = {key: value for key, value in given.items() if key in valid}
    try:
        spec = RunSpec.model_validate(fields)
    except ValidationError as error:
        problems += explain(error, depth=2)
        wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
        spec = RunSpec.model_validate({key: value for key, value in fields.items() if key not in wrong})
    updates: dict[str, Any] = {}
    _collect(problems, lambda: updates.update(_resolve_optimizer(spec, set(fields))))
    _collect(problems, lambda: updates.update(_resolve_data(spec)))
    problems += [f"{key}={getattr(spec, key)!r} is not valid: {why}" for key, why in _contradictions(spec)]
    if problems:
        raise ConfigError("\n".join(problems))
    return RunSpec.model_validate({**spec.model_dump(), **updates})


def _contradictions(spec: RunSpec) -> Iterator[tuple[str, str]]:
    """Yield the fields that another one rules out, with the reason."""
    if spec.warmup_epochs > spec.epochs:
        yield "warmup_epochs", f"the run has {spec.epochs} epochs"
    if spec.accumulate > spec.batch_size:
        yield "accumulate", f"a batch of {spec.batch_size} has no more micro-batches than samples"
    if spec.noise and spec.labels == "random":
        yield "noise", "labels='random' draws every label anew; leave out one of them"
    if spec.init != "adversarial" and spec.init_epochs != ADDED["init_epochs"]:
        yield "init_epochs", f"init={spec.init!r} trains nothing first; leave it out"
    if spec.replace_example is not None:
        if spec.subset is None and spec.imbalance == 1:
            yield "replace_example", "the run trains on all samples that there are; leave some out, such as by subset"
        elif spec.subset is not None and spec.replace_example >= spec.subset:
            yield "replace_example", f"the run has {spec.subset} samples, 0 to {spec.subset - 1}"
        if spec.noise and spec.noise_kind == "asymmetric":
            yield "replace_example", "asymmetric noise would change other labels with it; take noise_kind='symmetric'"
    if list(spec.milestones) != sorted(set(spec.milestones)):
        yield "milestones", "they must ascend"


def _collect(problems: list[str], action: Any) -> None:
    try:
        action()
    except ConfigError as error:
        problems.append(str(error))


def _resolve_optimizer(spec: RunSpec, named: set[str]) -> dict[str, Any]:
    info = get_info(spec.variant)
    sampler = spec.sampler or info.sampler
    policy = SAMPLERS.get(sampler)
    plugins = {kind: _plugin(spec, info, kind, named) for kind in ("hook", "average")}
    hook, average = HOOKS.get(plugins["hook"]), AVERAGES.get(plugins["average"])
    known = _of_base(spec, info)
    extra = {
        key: Hyper(value, f"of {spec.base}")
        for key, value in known.items()
        if key not in FIELD_OF_BASE and isinstance(value, int | float | str)
    }
    if "fused" in known and known["fused"] is None:
        extra["fused"] = Hyper(False, f"whether {spec.base} steps by torch's fused kernels, which round otherwise")
    of_base = {key: hyper for key, hyper in extra.items() if key in spec.hyper and key not in info.hyper}
    published = {key: value for key, value in info.defaults.get(spec.dataset, {}).items() if key in info.hyper}
    for name in set(info.hyper) & set(policy.hyper):
        if info.hyper[name] != policy.hyper[name]:
            raise ConfigError(f"{info.name!r} and sampler {sampler!r} both have a hyper-parameter {name!r}: rename one")
    declared = {**({"m": M} if "m" in spec.hyper else {}), **info.hyper, **policy.hyper, **hook.hyper, **average.hyper}
    used = [f"{kind} {name!r}" for kind, name in plugins.items() if name != "none"]
    owner = f"{spec.variant!r} with {', '.join([f'sampler {sampler!r}', *used])} on base {spec.base!r}"
    hyper = resolve(owner, {**declared, **of_base}, {**published, **spec.hyper})
    for name in [name for name, one in declared.items() if one.added and hyper[name] == one.default]:
        del hyper[name]
    if hyper.get("fused") is False and known["fused"] is None:  # as without it
        del hyper["fused"]
    if "m" in hyper and "m" not in info.hyper:
        hyper = without_whole_batch(hyper, spec.batch_size)
        check_m(hyper.get("m"), spec.batch_size, spec.drop_last, spec.precision, info)
    if spec.batch_schedule != "constant" and plugins["average"] != "none":
        raise ConfigError(
            f"batch_schedule={spec.batch_schedule!r} is not valid: average {plugins['average']!r} counts epochs of "
            "equal length in steps; leave out one of them"
        )
    if wrong := [f"{key}={getattr(spec, key)!r} is not valid: {why}" for key, why in _idle(spec, info, known, named)]:
        raise ConfigError("\n".join(wrong))
    return {
        "sampler": sampler,
        **plugins,
        "hyper": hyper,
        **_momentum(spec, known, named),
    }


def _momentum(spec: RunSpec, known: Mapping[str, Any], named: set[str]) -> dict[str, Any]:
    """Return the momentum of a run: what was asked for, or else what its base is known for, or else the harness's."""
    own = {key: known[key] for key in ("momentum", "nesterov") if known.get(key) and key not in named}
    momentum, nesterov = own.get("momentum", spec.momentum), own.get("nesterov", spec.nesterov)
    return {
        "momentum": momentum if "momentum" in known else None,
        "nesterov": bool(nesterov) and "nesterov" in known,
    }


def _of_base(spec: RunSpec, info: VariantInfo) -> Mapping[str, Any]:
    """Return what of the base optimizer acts: of one that never steps, learning rate and weight decay are read."""
    known = base_hyper(spec.base)
    check_apart(info, spec.base)
    return known if info.steps_base else {key: known[key] for key in ("lr", "weight_decay") if key in known}


def _idle(spec: RunSpec, info: VariantInfo, known: Mapping[str, Any], named: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the fields that would have no effect, with the reason: a run must not be told from another by its name."""
    why = (
        f"base optimizer {spec.base!r} has none" if info.steps_base else f"{info.name!r} never steps its base optimizer"
    )
    for key in ("momentum", "nesterov"):
        if key in named and getattr(spec, key) and key not in known:
            yield key, why
    if spec.rho_schedule != "constant" and "rho" not in info.hyper:
        yield "rho_schedule", f"{info.name!r} has no rho; leave it at 'constant'"
    if spec.batch_schedule != "constant" and "m" in spec.hyper and "m" not in info.hyper:
        yield "batch_schedule", f"m={spec.hyper['m']} shares a batch of one size out to devices; leave out one of them"
    if info.steps_base:
        return
    if spec.clip is not None:
        yield "clip", f"{why}, whose gradient would be clipped; leave it out"
    if spec.base.lower() != "sgd":
        yield "base", f"{why}; leave it at 'sgd', from which it reads the learning rate and the weight decay"


def _plugin(spec: RunSpec, info: VariantInfo, kind: str, named: set[str]) -> str:
    """Return the plug-in of a kind that a run has: what was asked for, or else the variant's own."""
    asked, own = getattr(spec, kind), getattr(info, kind)
    if kind not in named or not asked:
        return own
    if own not in ("none", asked):
        raise ConfigError(
            f"{kind}={asked!r} is not valid: {info.name!r} is its base with {kind} {own!r}; give another variant, such "
            f"as 'sgd', the {kind} {asked!r}"
        )
    return asked


def recipe_of(dataset: str, location: str = "") -> str:
    """Return the augmentation that is declared for a data set by its name, or else by the format that it is read from.

    Example:
        >>> recipe_of("digits"), recipe_of("mine", "imagefolder64:DIR"), recipe_of("mine")
        ('crop:1', 'crop:8,flip', 'crop:4,flip,cutout:16')
    """
    known = next((name for name in (dataset, location) if name in DATASETS), None)
    return DATASETS.get(known).augment if known else "crop:4,flip,cutout:16"


def _resolve_data(spec: RunSpec) -> dict[str, Any]:
    augment = Augmentation.parse(spec.augment or recipe_of(spec.dataset)).recipe
    model = spec.model or ("wrn10_1" if spec.dataset == "digits" else "wrn16_1")
    parameters_of(model, classes=10, norm=spec.norm)
    return {"augment": augment, "model": model}
