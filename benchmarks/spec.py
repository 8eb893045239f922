"""RunSpec: everything that determines a run, fully resolved, and nothing that does not."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from ..datasets.samplers import get_sampler
from ..hyper import Value
from ..results.records.record import run_id_of
from ..variants import get_info
from ..variants._bases import base_hyper
from ..variants.averages import AVERAGES
from ..variants.hooks import HOOKS

FIELD_OF_BASE = ("lr", "momentum", "nesterov", "weight_decay")
"""Hyper-parameters of the base optimizer that are fields of the spec; the rest stand in ``hyper``."""


ADDED: dict[str, Any] = {"hook": "none", "average": "none"}
"""Fields that came after the first published records: name -> the value under which a run is what it was before them.

With that value, which must be the field's default for good, a field is left out of the spec's JSON and so of its hash:
new abilities give old runs no new ids. Whoever adds a field to :class:`RunSpec` adds it here.
"""


class RunSpec(BaseModel):
    """One run. Built by :func:`make_spec`, which fills in what depends on variant and data set.

    Two runs are the same run exactly when all of this is equal: ``run_id`` is the hash of every field, so that a
    changed default is another run and never an old result under a new meaning. Only fields in :data:`ADDED` are left
    out while they have no effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    variant: str = Field("sgd", description="registered optimizer variant; see `sambench list variants`")
    base: str = Field("sgd", description="base optimizer under the variant, from timm.optim")
    sampler: str = Field("", description="sampling policy \\[default: the variant's own]")
    hook: str = Field("none", description="loss hook; see `sambench list hooks` \\[default: the variant's own]")
    average: str = Field(
        "none", description="weight average; see `sambench list averages` \\[default: the variant's own]"
    )
    hyper: dict[str, float | int | bool | str] = Field(
        default_factory=dict, description="hyper-parameters of the variant, its plug-ins and the base"
    )
    lr: float = Field(0.1, gt=0, description="peak learning rate")
    momentum: float | None = Field(0.9, ge=0, lt=1, description="of the base optimizer, where it has one")
    nesterov: bool = Field(False, description="Nesterov momentum, where the base has it")
    weight_decay: float = Field(5e-4, ge=0, description="on every parameter, norms and biases included")
    weight_decay_mode: Literal["base", "in_loss"] = Field(
        "base", description="decay in the base step at the restored weights, or in every gradient as part of the loss"
    )
    dataset: str = Field("digits", description="data set by name; see `sambench list datasets`")
    split: Literal["full", "holdout", "search"] = Field(
        "full",
        description="full: train on all, test at the end; holdout: 10 % held out for curves, test at the end; "
        "search: the same 10 % held out and reported, test set untouched",
    )
    subset: int | None = Field(None, gt=0, description="train on this many samples, balanced over classes")
    noise: float = Field(0.0, ge=0, le=1, description="share of training labels to corrupt")
    noise_kind: Literal["symmetric", "asymmetric"] = Field("symmetric", description="how labels are corrupted")
    imbalance: float = Field(1.0, ge=1, description="ratio of the largest to the smallest class, exponential tail")
    augment: str = Field("", description="recipe as in 'crop:4,flip,cutout:16', or 'none' \\[default: the data set's]")
    model: str = Field(
        "", description="model by name; see `sambench list models` \\[default: wrn16_1, for digits wrn10_1]"
    )
    norm: Literal["batch", "group"] = Field("batch", description="normalization layers of the model")
    epochs: int = Field(20, gt=0, description="passes over the training set")
    batch_size: int = Field(128, gt=0, description="samples of one step")
    drop_last: bool = Field(True, description="leave out the last incomplete batch of an epoch")
    accumulate: int = Field(1, gt=0, description="micro-batches that every pass is split into")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of the training loss")
    schedule: Literal["cosine", "multistep", "constant"] = Field("cosine", description="of the learning rate")
    schedule_unit: Literal["step", "epoch"] = Field("step", description="whether lr changes every step or every epoch")
    warmup_epochs: float = Field(0.0, ge=0, description="linear warm-up")
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.5, 0.75), description="shares of the run at which multistep drops"
    )
    gamma: float = Field(0.1, gt=0, le=1, description="factor of a multistep drop")
    clip: float | None = Field(None, gt=0, description="largest norm of the final gradient")
    bn_update: Literal["first", "all", "last"] = Field(
        "first", description="passes of a step that move BatchNorm's running statistics"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="autocast of the forward passes; `sambench run` picks bf16 where the device has it natively"
    )
    channels_last: bool = Field(True, description="memory layout of images and convolutions")
    seed: int = Field(0, ge=0, description="of initialization, order, augmentation, corruption and the variant's noise")
    eval_every: int = Field(1, gt=0, description="epochs between measurements on the held-out part")

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
        get_sampler(spec.sampler).hyper,
        HOOKS.get(spec.hook).hyper,
        AVERAGES.get(spec.average).hyper,
    )
    parts = [{key: value for key, value in spec.hyper.items() if key in names} for names in declared]
    rest = {key: value for key, value in spec.hyper.items() if not any(key in names for names in declared)}
    m = rest.pop("m", None)
    return HyperByOwner(*parts, base=rest, m=None if m is None else int(m))
