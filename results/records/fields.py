"""Fields of what is read from files, each with its type and its range, so that no reader meets what it cannot handle.

Numbers are bounded so that sums, squares and every format of table hold them; a missing number is null.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ...errors import explain

LARGEST = 2**63 - 1


def printable(text: str) -> str:
    """Return a text without control characters, or refuse it."""
    if not text.isprintable():
        raise ValueError("input should have no control characters")
    return text


def no_truth(value: Any) -> Any:
    """Return what is given as a number unless it is true or false, which pydantic would take as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("input should be a number")
    return value


Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Finite = Annotated[float, Field(ge=-1e300, le=1e300, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-1e39, le=1e39, allow_inf_nan=False)]
"""What training computes: a loss, a learning rate; single precision ends at 3.4e38."""
Amount = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
"""Seconds, and counts that may be fractions."""
Share = Annotated[float, Field(ge=0, le=1)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(max_length=2000), AfterValidator(printable)]
"""A name, or a line: without control characters."""
Text = Annotated[str, Field(max_length=100_000)]


def initial_weights(text: str) -> str:
    """Return how a run begins if it is one of the ways, or the id of a run whose weights it begins with."""
    if text not in ("drawn", "adversarial") and not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError("input should be 'drawn', 'adversarial' or the id of a run, all its 64 digits")
    return text


Item = TypeVar("Item")
Items = TypeVar("Items", list[Any], tuple[Any, ...])


def distinct(items: Items) -> Items:
    """Return a list or tuple without repetitions, or refuse it."""
    seen = set[Any]()
    for item in items:
        if item in seen:
            raise ValueError(f"{item!r} stands in it twice")
        seen.add(item)
    return items


Distinct = Annotated[list[Item], Field(max_length=10_000), AfterValidator(distinct)]
"""A list without repetitions."""


class Frozen(BaseModel):
    """What all models of files share: they do not change and have no other fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Scale = Annotated[float, Field(le=1e30)]  # single precision ends at 3.4e38
_Count = Annotated[int, Field(gt=0, le=10**9)]
_Setting = Finite | Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | bool | Name


class SpecFields(BaseModel):
    """The fields of a spec with their types and ranges; :class:`~sambench.benchmarks.spec.RunSpec` says what they do.

    They are stated here, where records are read, and nowhere else.
    """

    variant: Name = Field("sgd", description="registered optimizer variant; see `sambench list variants`")
    base: Name = Field("sgd", description="base optimizer under the variant, from timm.optim")
    sampler: Name = Field("", description="sampling policy \\[default: the variant's own]")
    hook: Name = Field("none", description="loss hook; see `sambench list hooks` \\[default: the variant's own]")
    average: Name = Field(
        "none", description="weight average; see `sambench list averages` \\[default: the variant's own]"
    )
    hyper: dict[Name, _Setting] = Field(
        default_factory=dict, description="hyper-parameters of the variant, its plug-ins and the base"
    )
    lr: _Scale = Field(0.1, gt=0, description="peak learning rate")
    momentum: float | None = Field(0.9, ge=0, lt=1, description="of the base optimizer, where it has one")
    nesterov: bool = Field(False, description="Nesterov momentum, where the base has it")
    weight_decay: _Scale = Field(5e-4, ge=0, description="on every parameter, norms and biases included")
    weight_decay_mode: Literal["base", "in_loss"] = Field(
        "base", description="decay in the base step at the restored weights, or in every gradient as part of the loss"
    )
    dataset: Name = Field("digits", description="data set by name; see `sambench list datasets`")
    split: Literal["full", "holdout", "search"] = Field(
        "full",
        description="full: train on all, test at the end; holdout: 10 % held out for curves, test at the end; "
        "search: the same 10 % held out and reported, test set untouched",
    )
    subset: _Count | None = Field(None, description="train on this many samples, balanced over classes")
    noise: Share = Field(0.0, description="share of training labels to corrupt")
    noise_kind: Literal["symmetric", "asymmetric"] = Field("symmetric", description="how labels are corrupted")
    labels: Literal["given", "random"] = Field(
        "given", description="random: training labels drawn anew from all classes"
    )
    pixels: Literal["given", "shuffled", "random"] = Field(
        "given", description="shuffled: one other order of the pixels of all images; random: one for every image"
    )
    imbalance: float = Field(
        1.0, ge=1, le=1e9, description="ratio of the largest to the smallest class, exponential tail"
    )
    replace_example: Whole | None = Field(
        None, description="training sample, by its place from 0, that gives way to one that the run leaves out"
    )
    augment: Name = Field("", description="recipe as in 'crop:4,flip,cutout:16', or 'none' \\[default: the data set's]")
    model: Name = Field(
        "", description="model by name; see `sambench list models` \\[default: wrn16_1, for digits wrn10_1]"
    )
    norm: Literal["batch", "group"] = Field("batch", description="normalization layers of the model")
    init: Annotated[str, AfterValidator(initial_weights)] = Field(
        "drawn",
        description="initial weights: drawn; adversarial: those at the end of plain SGD on random labels of the same "
        "images, without weight decay; or the id of a run that kept its own",
    )
    init_epochs: _Count = Field(60, description="of the SGD that makes adversarial initial weights; counted apart")
    epochs: _Count = Field(20, description="passes over the training set")
    batch_size: _Count = Field(128, description="samples of one step")
    batch_schedule: Literal["constant", "doubling", "geometric"] = Field(
        "constant",
        description="doubling: at each of the milestones; geometric: every epoch, up to batch_growth",
    )
    batch_growth: float = Field(4.0, ge=1, le=1e6, description="last batch of a geometric schedule over the first")
    drop_last: bool = Field(
        True, description="leave out the last incomplete batch of an epoch; where it stays it counts as a whole one"
    )
    accumulate: _Count = Field(1, description="micro-batches that every pass is split into")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of the training loss")
    schedule: Literal["cosine", "multistep", "constant", "polynomial"] = Field(
        "cosine", description="of the learning rate"
    )
    power: float = Field(1.0, gt=0, le=100, description="of the polynomial schedule; 1: linear")
    rho_schedule: Literal["constant", "linear", "cosine", "inverse-sqrt"] = Field(
        "constant", description="of the variant's rho, over the whole run"
    )
    schedule_unit: Literal["step", "epoch"] = Field(
        "step", description="whether lr, and rho where it has a schedule, change every step or every epoch"
    )
    warmup_epochs: float = Field(0.0, ge=0, le=1e9, description="linear warm-up")
    milestones: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False, max_length=1000)] = (
        Field((0.5, 0.75), description="shares of the run at which multistep drops and doubling doubles")
    )
    gamma: float = Field(0.1, gt=0, le=1, description="factor of a multistep drop")
    clip: _Scale | None = Field(None, gt=0, description="largest norm of the final gradient")
    bn_update: Literal["first", "all", "last"] = Field(
        "first", description="passes of a step that move BatchNorm's running statistics"
    )
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = Field(
        "fp32",
        description="autocast of the forward passes, or tf32 (CUDA); `sambench run` picks bf16 where it is native",
    )
    channels_last: bool = Field(True, description="memory layout of images and convolutions")
    seed: Whole = Field(0, description="of initialization, order, augmentation, corruption and the variant's noise")
    eval_every: _Count = Field(1, description="epochs between measurements on the held-out part")


class RecordedSpec(SpecFields):
    """A spec as it stands in a record: of exactly these types, and with keys that other versions may have."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
    # pydantic reads the type of further keys here
    __pydantic_extra__: dict[Name, _Setting | Annotated[list[_Setting], Field(max_length=1000)] | None]  # pyright: ignore[reportIncompatibleVariableOverride]

    variant: Name
    seed: Whole


def spec_problems(spec: Any) -> list[str]:
    """Say what is wrong with the types and ranges of a spec that was read from a file; nothing if it can be used."""
    try:
        RecordedSpec.model_validate(spec)
    except ValidationError as error:
        return [f"spec.{line}" for line in explain(error, depth=2)]
    return [
        f"{prefix}.{name}={value} is not valid: a whole number has 64 bits at most"
        for prefix, values in (("spec", spec), ("spec.hyper", spec.get("hyper", {})))
        for name, value in values.items()
        if isinstance(value, int) and abs(value) > LARGEST  # where a fraction may stand, a whole number may be larger
    ]
