"""What a tuning may spend: the same for every method of the suite, by construction."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from ...errors import ConfigError, explain
from ...results.records.fields import Whole, distinct
from .entries import Entry


def _ascending(value: tuple[float, float, str]) -> tuple[float, float, str]:
    low, high, scale = value
    if not low < high or (scale == "log" and low <= 0):
        raise ValueError("a range is [low, high, scale] with low < high, and 0 < low where the scale is log")
    return value


End = Annotated[float, Field(ge=0, le=1e6)]
Range = Annotated[tuple[End, End, Literal["log", "linear"]], Field(strict=False), AfterValidator(_ascending)]
Ranges = Annotated[
    Annotated[Range, Tag("range")] | Annotated[dict[str, Range], Tag("bases")],
    Discriminator(lambda given: "bases" if isinstance(given, dict) else "range"),
]
"""A range for all methods, or one for each base optimizer: base -> range."""


class Budget(BaseModel):
    """The table ``[tuning]`` of a suite. There is one, and it holds for all methods."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trials: Whole = Field(gt=0, le=100_000, description="settings that are tried of every method, at the first seed")
    finalists: Whole = Field(3, gt=0, description="of these, how many are tried at the other seeds too")
    seeds: Annotated[tuple[Whole, ...], Field(strict=False), AfterValidator(distinct)] = Field(
        (1000, 1001, 1002), min_length=1, max_length=10_000, description="no final run may have one of them"
    )
    lr: Ranges = Field(
        (0.01, 1.0, "log"), description="range of the learning rate, for every method; with several bases, one for each"
    )
    weight_decay: Ranges = Field(
        (5e-5, 5e-3, "log"), description="range of the weight decay, for every method, or one for each base"
    )
    epochs: Annotated[tuple[End, End], Field(strict=False)] | None = Field(
        None, description="range of the share of its budget that a method uses, in (0, 1]; absent: all of it"
    )

    def range_of(self, name: str, one: Entry) -> tuple[float, float, str]:
        """Return the range of one of :data:`SHARED` for a method, which all methods on its base optimizer share."""
        found = getattr(self, name)
        return found[_base(one)] if isinstance(found, dict) else found


SHARED = ("lr", "weight_decay")


def _base(one: Entry) -> str:
    return str(one.fields.get("base", "sgd")).lower()


def read_budget(table: Mapping[str, Any], field: Sequence[Entry], final_seeds: Sequence[int]) -> Budget:
    """Read and check the tuning of a suite.

    Raises:
        ConfigError: with all problems, one a line: values, seeds that tuning and final runs share, an entry with a
            budget or a learning rate of its own, two entries of one name, a base without a range.
    """
    try:
        budget = Budget.model_validate(table)
    except ValidationError as error:
        lines, valid = explain(error), ", ".join(Budget.model_fields)
        raise ConfigError("\n".join(f"[tuning] {line}; valid keys: {valid}" for line in lines)) from error
    problems = []
    if common := sorted(set(budget.seeds) & set(final_seeds)):
        problems.append(
            f"seeds {common} are used for tuning and for final runs: a setting that won with a seed has seen it"
        )
    if budget.epochs and not 0 < budget.epochs[0] < budget.epochs[1] <= 1:
        problems.append(f"[tuning] epochs={list(budget.epochs)} is no range of shares in (0, 1]: such as [0.1, 1.0]")
    field = [one for one in field if not one.reference]
    for one in field:
        for key in one.own:
            if key in SHARED:
                problems.append(
                    f"[[runs]] number {one.number} fixes {key!r}, which is tuned for every method alike; leave it out"
                )
            elif key in ("trials", "finalists"):
                problems.append(
                    f"[[runs]] number {one.number} asks for {key}={one.own[key]!r} of its own: budgets are equal, "
                    "and stand in [tuning]"
                )
    names = [one.method for one in field]
    problems += [
        f"two entries are called {name!r}: both would be tuned" for name in set(names) if names.count(name) > 1
    ]
    bases = {_base(one) for one in field}
    if len(bases) > 1 and not isinstance(budget.lr, dict):
        ranges = ", ".join(f"{base} = [...]" for base in sorted(bases))
        problems.append(
            f"base optimizers {sorted(bases)} do not share a range of learning rates: write lr = {{ {ranges} }}"
        )
    problems += [
        f"[tuning] {key} has ranges for {sorted(ranges)}, the suite has bases {sorted(bases)}"
        for key in SHARED
        if isinstance(ranges := getattr(budget, key), dict) and set(ranges) != bases
    ]
    if budget.finalists > budget.trials:
        problems.append(f"finalists={budget.finalists} is more than trials={budget.trials}")
    if problems:
        raise ConfigError("\n".join(problems))
    return budget
