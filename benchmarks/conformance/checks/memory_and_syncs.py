"""Check 8: a step waits for the device only where it says so, and holds as many parameter-sized buffers as it declares.

Both are seen on any machine. A dispatch mode sees every operator of a step outside the closure: those whose result the
host must read, and the memory that each result lives in.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from ....variants import VariantInfo
from ....variants.settings import settings, small, spell
from ...training.classification import ClassificationOracle
from ...training.probe import Net, Probe
from ..check import Failed, check

STEPS, FEW = 6, 2
"""Steps at the defaults, which go through a period, and at every other setting."""
WIDTH = 256
"""Of the network, so that scalars and logits weigh little beside the parameters."""
TOLERANCE = 0.15
"""Of the number of buffers: what is not of the parameters' size stays below it."""

aten = torch.ops.aten
READ_BY_THE_HOST = {
    aten._local_scalar_dense: "item(), float() or a branch on a tensor",
    aten.nonzero: "nonzero()",
    aten.masked_select: "masked_select()",
    aten.equal: "equal()",
    aten._unique2: "unique()",
    aten.unique_dim: "unique()",
    aten.unique_consecutive: "unique_consecutive()",
    aten.bincount: "bincount()",
}
"""Operators whose result, or its shape, the host needs before it can go on."""
READ_BY_PYTHON = {Tensor.tolist: "tolist()", Tensor.numpy: "numpy()", Tensor.cpu: "cpu()"}
"""Methods that read memory without an operator on this device."""


def _with_mask(function: Any, args: tuple[Any, ...]) -> bool:
    """Tell whether an indexing operator is given a boolean mask, whose count decides a shape."""
    if function not in (aten.index, aten.index_put_, aten._index_put_impl_):
        return False
    return any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1])


class Ledger(TorchDispatchMode):
    """Books, while it is open, which memory is alive and what the host reads."""

    def __init__(self, outside: Iterable[Tensor]):
        super().__init__()
        self.outside = {t.untyped_storage()._cdata for t in outside}
        self.open = False
        self.waits: set[str] = set()
        self.peak = 0
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def add(self, *tensors: Tensor) -> None:
        """Book the memory of these tensors, once for each storage."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage._cdata not in self.outside:
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()

    def total(self) -> int:
        """Bytes alive now; the highest ever is kept."""
        self.alive = {key: entry for key, entry in self.alive.items() if not entry[0].expired()}
        now = sum(size for _, size in self.alive.values())
        self.peak = max(self.peak, now)
        return now

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if self.open:
            if func.overloadpacket in READ_BY_THE_HOST:
                self.waits.add(READ_BY_THE_HOST[func.overloadpacket])
            if _with_mask(func.overloadpacket, args):
                self.waits.add("indexing with a mask")
            self.add(*(t for t in tree_leaves(result) if isinstance(t, Tensor)))
            self.total()
        return result


class Reads(TorchFunctionMode):
    """Tells a ledger of the reads that reach no operator."""

    def __init__(self, ledger: Ledger):
        super().__init__()
        self.ledger = ledger

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if self.ledger.open and func in READ_BY_PYTHON:
            self.ledger.waits.add(READ_BY_PYTHON[func])
        return func(*args, **(kwargs or {}))


class Apart:
    """An oracle whose own operations are not booked; the gradients that it leaves are."""

    def __init__(self, oracle: ClassificationOracle, ledger: Ledger):
        self.oracle, self.ledger = oracle, ledger

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.oracle, name)
        return self._closed(found) if callable(found) else found

    def __call__(self, **request: Any) -> Tensor:
        return self._closed(self.oracle)(**request)

    def _closed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **request: Any) -> Any:
            self.ledger.total()
            self.ledger.open = False
            with _disable_current_modes():
                result = function(*args, **request)
            self.ledger.open = True
            self.ledger.add(*(p.grad for p in self.oracle.params if p.grad is not None))
            self.ledger.total()
            return result

        return call


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """What only the garbage collector would free counts as alive."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def size(tensors: Iterable[Tensor]) -> int:
    """Bytes of the distinct memory of these tensors."""
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


def _observe(info: VariantInfo, setting: dict[str, Any], steps: int) -> tuple[set[str], float, float, float]:
    """Follow some steps after a first one.

    Returns:
        What the host waited for; and in parameter-sized buffers: what is kept, the most that was alive in a step beside
        that and one gradient, and what a step left behind without a use.
    """
    model = Net("layer", torch.float32, WIDTH)
    # without weight decay: the base adds it to a copy of the gradient, and that copy is not the variant's
    trial = Probe(info, setting, base_hyper={"weight_decay": 0.0}, model=model, dtype=torch.float32, total=1 + steps)
    trial.step()
    params, base = list(trial.model.parameters()), trial.optimizer.base.state
    unit = size(params)
    of_base = (t for state in base.values() for t in state.values() if isinstance(t, Tensor))

    def kept_now() -> list[Tensor]:
        own = [t for tensors in trial.optimizer.own.values() for t in tensors.values()]
        plugins = (trial.oracle.hook, trial.oracle.average)
        return [*own, *(t for plugin in plugins if plugin is not None for t in plugin.copies())]

    copies = {id(t) for t in kept_now()}
    of_plugins = (t for t in tree_leaves(trial.oracle.state_dict()) if isinstance(t, Tensor) and id(t) not in copies)
    ledger = Ledger(outside=[*params, *of_base, *of_plugins])
    kept = transient = left = 0.0

    def held() -> list[Tensor]:
        return [*(p.grad for p in params if p.grad is not None), *kept_now()]

    with without_garbage_collection(), ledger, Reads(ledger):
        ledger.add(*held())
        for _ in range(steps):
            ledger.open = True
            oracle = trial.bind()
            ledger.peak = 0  # plug-ins compute with outputs before and after the step: they may not wait, that is all
            trial.optimizer.step(Apart(oracle, ledger))
            peak = ledger.peak
            oracle.finish_step()
            ledger.open = False
            trial.done += 1
            after = size(kept_now())
            kept = max(kept, after / unit)
            transient = max(transient, (peak - after) / unit - 1.0)
            left = max(left, (ledger.total() - size(held())) / unit)
    return ledger.waits, kept, transient, left


@check(
    8, "buffers", "a step waits for the device only if declared, and holds as many parameter-sized buffers as declared"
)
def holds_what_it_declares(info: VariantInfo) -> str:
    waited: set[str] = set()
    for setting in settings(info):
        waits, kept, transient, left = _observe(info, setting, STEPS if setting == small(info) else FEW)
        waited |= waits
        if waits and not info.synchronizes:
            raise Failed(f"at {spell(setting)}, the host waits for the device ({', '.join(sorted(waits))}), undeclared")
        if left > TOLERANCE:
            raise Failed(
                f"at {spell(setting)}, a step leaves {left:.2f} parameter-sized buffers behind that it did not save"
            )
        if setting != small(info):
            continue
        for kind, declared, seen in (("state", info.state, kept), ("transient", info.transient, transient)):
            if abs(seen - declared) > TOLERANCE:
                raise Failed(f"declares {kind}={declared:g} parameter-sized buffers; measured {seen:.2f}")
    if info.synchronizes and not waited:
        raise Failed("declares synchronizes=True and never waits")
    waiting = f"waits for {', '.join(sorted(waited))} as declared" if waited else "never waits for the device"
    return f"{waiting}; keeps {info.state:g} and needs {info.transient:g} parameter-sized buffers beside the gradient"
