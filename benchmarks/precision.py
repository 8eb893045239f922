"""Precision: what float32 means on a GPU, the autocast context, and the loss scale that fp16 needs."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from ..variants._shards import local, sum_over_shards

PRECISIONS = ("fp32", "bf16", "fp16")
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def best_precision(device: torch.device) -> str:
    """Return ``bf16`` where the hardware multiplies it natively, else ``fp32``."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
    return "fp32"


def _float32_on_cuda() -> list[Any]:
    """Return the settings of torch that say what float32 means on CUDA."""
    return [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn]  # pyright: ignore[reportAttributeAccessIssue]


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Compute inside the block as a spec's precision says, by algorithms that return the same bits every time.

    On CUDA, cuDNN takes deterministic algorithms and chooses none by their speed: a run that goes on with others ends
    in other bits. float32 is that of IEEE 754, which cuDNN's default is not, unless TF32 (factors of 10-bit mantissas,
    sums in float32) is asked for by its name. After the block, what was set before holds again.

    Args:
        precision: ``"fp32"``, ``"tf32"``, ``"bf16"`` or ``"fp16"``.
        device: device that is computed on.

    Raises:
        ConfigError: the device has no TF32.
    """
    if device.type != "cuda":
        if precision == "tf32":
            raise ConfigError(f"precision='tf32' is arithmetic of CUDA devices, and this is {device.type!r}; take fp32")
        yield
        return
    before = get_arithmetic()
    try:
        set_arithmetic(["tf32" if precision == "tf32" else "ieee"] * len(_float32_on_cuda()), True, False)
        yield
    finally:
        set_arithmetic(*before)


def get_arithmetic() -> tuple[list[str], bool, bool]:
    """Return what is in force: precisions of float32, and whether cuDNN is deterministic and chooses by speed."""
    float32 = [backend.fp32_precision for backend in _float32_on_cuda()]
    return float32, torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark


def set_arithmetic(float32: list[str], deterministic: bool, benchmark: bool) -> None:
    """Put in force what :func:`get_arithmetic` returned."""
    for backend, value in zip(_float32_on_cuda(), float32, strict=True):
        backend.fp32_precision = value
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark


def describe_arithmetic(device: torch.device) -> str | None:
    """Return what :func:`arithmetic` sets, as it is in force now; ``None`` where there is nothing to set.

    Example:
        >>> with arithmetic("fp32", torch.device("cuda")):
        ...     describe_arithmetic(torch.device("cuda"))
        'float32 ieee, cuDNN deterministic'
    """
    if device.type != "cuda":
        return None
    float32 = "/".join(dict.fromkeys(backend.fp32_precision for backend in _float32_on_cuda()))
    chosen = "deterministic" if torch.backends.cudnn.deterministic else "not deterministic"
    return f"float32 {float32}, cuDNN {chosen}{', by benchmark' * torch.backends.cudnn.benchmark}"


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which a forward pass of this precision runs."""
    if precision not in _DTYPES:
        return contextlib.nullcontext()
    return torch.autocast(device.type, _DTYPES[precision])


LEAST_SCALE = 2.0**-30
"""Loss scale below which a gradient that overflows is not one that a smaller scale would save."""


class Diverged(ArithmeticError):
    """A loss is not finite, or gradients overflow at every loss scale: the run has come to its end."""


class GradientOverflow(ArithmeticError):
    """A pass in fp16 gave a gradient that is not finite; the whole step is to be skipped."""


class LossScale:
    """Dynamic loss scaling for steps of several passes.

    Every pass is scaled and unscaled by itself, and one pass that is not finite skips the whole step: the exception
    leaves through the optimizer, which restores the weights on its way. ``torch.amp.GradScaler`` unscales once per
    optimizer step and cannot do this.

    The scale halves on an overflow and doubles after 2,000 good steps. A scale of 1 with ``enabled=False`` does nothing
    and synchronizes nothing.
    """

    def __init__(self, enabled: bool):
        self.enabled, self.scale, self.interval = enabled, 2.0**16 if enabled else 1.0, 2000
        self.good = 0

    def times(self, value: Tensor) -> Tensor:
        """Return a value multiplied by the scale."""
        return value * self.scale if self.enabled else value

    def unscale(self, gradients: list[Tensor]) -> None:
        """Divide gradients by the scale in place.

        Raises:
            GradientOverflow: one of them is not finite.
        """
        if not self.enabled or not gradients:
            return
        torch._foreach_mul_(gradients, 1.0 / self.scale)
        own = [part for part in local(gradients) if part.numel()] or [torch.zeros(1, device=gradients[0].device)]
        wrong = ~torch.isfinite(torch.stack(torch._foreach_norm(own, torch.inf)))
        if bool(sum_over_shards(wrong.sum(), gradients)):
            raise GradientOverflow(f"a gradient overflowed at loss scale {self.scale:g}")

    def step_done(self, overflowed: bool) -> None:
        """Adapt the scale after a step.

        Raises:
            Diverged: gradients overflow at every scale.
        """
        if not self.enabled:
            return
        if overflowed and self.scale < LEAST_SCALE:
            raise Diverged(f"gradients overflow in fp16 even at loss scale {self.scale:g}")
        self.good = 0 if overflowed else self.good + 1
        if overflowed:
            self.scale /= 2.0
        elif self.good == self.interval:
            self.scale, self.good = self.scale * 2.0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self.scale, "good": self.good}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scale, self.good = state["scale"], state["good"]
