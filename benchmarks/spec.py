"""RunSpec: everything that determines a run, fully resolved, and nothing that does not."""

import re
from typing import Any, NamedTuple

from pydantic import ConfigDict, SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer

from ..datasets.samplers import SAMPLERS
from ..hyper import Value
from ..results.records.fields import SpecFields, no_truth
from ..results.records.record import run_id_of
from ..variants import get_info
from ..variants._bases import base_hyper
from ..variants.averages import AVERAGES
from ..variants.hooks import HOOKS

FIELD_OF_BASE = ("lr", "momentum", "nesterov", "weight_decay")
"""Hyper-parameters of the base optimizer that are fields of the spec; the rest stand in ``hyper``."""


ADDED: dict[str, Any] = {
    "hook": "none",
    "average": "none",
    "batch_schedule": "constant",
    "batch_growth": 4.0,
    "power": 1.0,
    "rho_schedule": "constant",
    "labels": "given",
    "pixels": "given",
    "init": "drawn",
    "init_epochs": 60,
    "replace_example": None,
}
"""Fields that came after the first published records: name -> the value under which a run is what it was before them.

With that value, which must be the field's default for good, a field is left out of the spec's JSON and so of its hash:
new abilities give old runs no new ids. Whoever adds a field to :class:`SpecFields` adds it here.
"""

NUMBERS = [name for name, field in SpecFields.model_fields.items() if re.search("int|float", str(field.annotation))]
"""Fields that hold numbers, ``hyper`` aside."""


class RunSpec(SpecFields):
    """One run. Built by :func:`make_spec`, which fills in what depends on variant and data set.

    Two runs are the same run exactly when all of this is equal: ``run_id`` is the hash of every field, so that a
    changed default is another run and never an old result under a new meaning. Only fields in :data:`ADDED` are left
    out while they have no effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _numbers = field_validator(*NUMBERS, mode="before")(no_truth)

    @field_validator("*")
    @classmethod
    def _canonical(cls, value: Any, info: ValidationInfo) -> Any:
        """Make two spellings of one value one run: timm ignores the case of a base optimizer, and -0.0 is 0.0."""
        if info.field_name == "base":
            return value.lower()
        return value + 0.0 if isinstance(value, float) else value

    @model_serializer(mode="wrap")
    def _without_later_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = dump(self)
        return {key: value for key, value in fields.items() if key not in ADDED or value != ADDED[key]}

    @property
    def run_id(self) -> str:
        """sha256 of the canonical JSON of this spec, 64 hex digits."""
        return run_id_of(self.model_dump(mode="json"))

    @property
    def m(self) -> int | None:
        """Samples that share a perturbation where every device has one of its own; see :mod:`.m_sharpness`."""
        return split_hyper(self).m

    @property
    def measures_fit(self) -> bool:
        """Whether it is measured how many training labels are predicted: where labels, pixels or initial weights are
        unlike those of training as ever."""
        return self.noise > 0 or any(getattr(self, name) != ADDED[name] for name in ("labels", "pixels", "init"))

    @property
    def declared_gradients(self) -> float:
        """Gradient evaluations per step that variant and loss hook declare; a variant's own hook is part of it."""
        info, hook = get_info(self.variant), HOOKS.get(self.hook)
        of_hook = hook.declared_gradients(self.hyper) if self.hook != info.hook else 0.0
        return info.declared_gradients(self.hyper) + of_hook

    def optimizer_arguments(self) -> dict[str, Any]:
        """What :func:`sambench.variants.create` is given beside name, model and base.

        A rule that ties something to the peak of the learning rate is told the run's.
        """
        known = base_hyper(self.base)
        decay = self.weight_decay if self.weight_decay_mode == "base" else 0.0
        fields = {"lr": self.lr, "momentum": self.momentum, "nesterov": self.nesterov, "weight_decay": decay}
        of_base = {key: value for key, value in fields.items() if key in known and value is not None}
        hyper = split_hyper(self)
        peak = {"lr_max": self.lr} if "lr_max" in get_info(self.variant).hyper else {}
        return {**of_base, **peak, **hyper.base, **hyper.variant}

    def label(self) -> str:
        """A short name for people: ``sam rho=0.05 seed 3``."""
        hyper = split_hyper(self)
        shown = hyper.variant if hyper.m is None else {**hyper.variant, "m": hyper.m}
        own = " ".join(f"{key}={value}" for key, value in shown.items())
        info = get_info(self.variant)
        extra = [f"+ {one}" for kind in ("hook", "average") if (one := getattr(self, kind)) != getattr(info, kind)]
        return " ".join(filter(None, [self.variant, own, *extra, f"seed {self.seed}"]))


class HyperByOwner(NamedTuple):
    """The hyper-parameters of a spec by who declares them; the flat ``hyper`` of the spec is what its id is a hash of.

    Attributes:
        variant: those of the step rule.
        sampler: those of the sampling policy; a name that the step rule declares too is in both.
        hook: those of the loss hook.
        average: those of the weight average.
        base: those of the base optimizer that are not fields of the spec.
        m: samples that share a perturbation on several devices, where the step rule has no such hyper-parameter.
    """

    variant: dict[str, Value]
    sampler: dict[str, Value]
    hook: dict[str, Value]
    average: dict[str, Value]
    base: dict[str, Value]
    m: int | None


def split_hyper(spec: RunSpec) -> HyperByOwner:
    """Return the hyper-parameters of a spec, each with its owner."""
    declared = (
        get_info(spec.variant).hyper,
        SAMPLERS.get(spec.sampler).hyper,
        HOOKS.get(spec.hook).hyper,
        AVERAGES.get(spec.average).hyper,
    )
    parts = [{key: value for key, value in spec.hyper.items() if key in names} for names in declared]
    rest = {key: value for key, value in spec.hyper.items() if not any(key in names for names in declared)}
    m = rest.pop("m", None)
    return HyperByOwner(*parts, base=rest, m=None if m is None else int(m))
