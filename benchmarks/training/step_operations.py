"""The operations of a rule: noted while a step is recorded, and compared when its host part alone is made again.

A recording has numbers and branches in it. Whether the next step is the same one with other numbers is known to the
rule's own code: it is run while none of its operations is carried out. Each is answered by the tensors that it gave
when it was noted, so the code decides as in a step, and what it asks for is compared with what was recorded:

- The same operations on the same memory with the same numbers: the recording is this step.
- The same but for numbers: those of a product become scalars on the device, which are filled before a replay with what
  the host has computed, and products have the same bits. Any other operation with a number that moves is made between
  two recordings.
- Other operations: another branch, which has recordings of its own.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from operator import is_
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .classification import ClassificationOracle

aten = torch.ops.aten
PRODUCTS = (aten.mul.Tensor, aten.mul_.Tensor, aten._foreach_mul.Scalar, aten._foreach_mul_.Scalar)
"""Operations that take a scalar on the device in place of a number, to the same bits."""


class OtherOperationsError(Exception):
    """A rule asks for other operations than those that were noted."""


@dataclass
class Operation:
    """What a rule has asked for: of the device, or of its closure."""

    what: Any
    asked: Any
    """Its arguments."""
    answer: Any


class _Copies(TorchFunctionMode):
    """Lets ``copy.deepcopy`` copy a tensor by an operation on it; by itself it copies memory, which nobody notes."""

    seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__:
            self.seen = True
            return args[1].setdefault(id(args[0]), args[0].clone())
        return func(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    """Sees the operations that a rule asks for inside the block; ``copies`` among them, which takes time."""

    def __init__(self, copies: bool) -> None:
        super().__init__()
        self.copies = _Copies() if copies else None

    def __enter__(self) -> Self:
        if self.copies:
            self.copies.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if self.copies:
            self.copies.__exit__(*raised)


Moving = dict[int, Tensor | None]
"""Operations whose numbers move, by position -> the scalar on the device; None for those that take none."""


class Noted(_Operations):
    """Carries out what a rule asks for, and notes it; what it gives is held, so that its memory tells it apart.

    Args:
        moving: operations whose numbers are known to move.
        apart: carries out, between two recordings, the operation at a position.
    """

    def __init__(self, moving: Moving, apart: Callable[[int, Callable[[], Any]], Any]):
        super().__init__(copies=True)
        self.moving, self.apart = moving, apart
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _of_a_profiler(func):
            return func(*args, **kwargs)
        at = len(self.operations)
        if at not in self.moving:
            answer = func(*args, **kwargs)
        elif (scalar := self.moving[at]) is not None:
            answer = func.overloadpacket(args[0], scalar)
        else:
            answer = self.apart(at, lambda: func(*args, **kwargs))
        self.operations.append(Operation(func, (args, kwargs), answer))
        return answer

    def ask(self, what: str, make: Callable[[], Any], request: Any = ()) -> Any:
        """Let the closure or the base optimizer act, whose operations are their own affair."""
        with self.aside():
            answer = make()
        self.operations.append(Operation(what, request, answer))
        return answer

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Note nothing inside the block."""
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self.__enter__()


class Rehearsal(_Operations):
    """Answers what a rule asks for as it was answered before, and carries out nothing.

    Args:
        operations: those that were noted.
        moving: those whose numbers move.
        copies: whether there were deep copies among them.
    """

    def __init__(self, operations: list[Operation], moving: Moving, copies: bool):
        super().__init__(copies)
        self.operations, self.moving = operations, moving
        self.at, self.other = 0, False
        self.numbers: list[tuple[Tensor, float]] = []
        """Scalars on the device, and what to fill them with."""
        self.calls: dict[int, Callable[[], Any]] = {}
        """Operations between recordings, by position, with their present numbers."""
        self.moved: Moving = {}
        """Operations whose numbers have moved for the first time."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _of_a_profiler(func):
            return func(*args, **kwargs)
        at, asked, one = self.at, (args, kwargs), self._next(func)
        if at not in self.moving and _same(asked, one.asked):
            return func(*args, **kwargs) if _views(func) else one.answer
        if not _same(asked, one.asked, numbers=True):
            self._differ()
        if at not in self.moving:
            self.moved[at] = _scalar(func, args)
        elif (scalar := self.moving[at]) is not None:
            self.numbers.append((scalar, args[1]))
        else:
            self.calls[at] = lambda: func(*args, **kwargs)
        return one.answer

    def ask(self, what: str, make: Callable[[], Any], request: Any = ()) -> Any:
        """Return what was returned."""
        one = self._next(what)
        if not _same(request, one.asked):
            self._differ()
        return one.answer

    def _next(self, what: Any) -> Operation:
        if self.other or self.at == len(self.operations) or self.operations[self.at].what != what:
            self._differ()
        self.at += 1
        return self.operations[self.at - 1]

    def _differ(self) -> None:
        self.other = True  # whatever the rule does on its way out is not carried out either
        raise OtherOperationsError


class Asked:
    """The oracle, as a rule sees it in a step that is noted or compared."""

    def __init__(self, oracle: ClassificationOracle, operations: Noted | Rehearsal):
        self._oracle, self._operations = oracle, operations

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._oracle, name)
        if isinstance(found, Tensor):
            return self._operations.ask(name, lambda: found)
        if inspect.ismethod(found):
            return lambda **request: self._operations.ask(name, lambda: found(**request), request)
        return found


def place(t: Tensor) -> tuple[Any, ...]:
    """Return where a tensor lies, and how: operations that are replayed know it by that."""
    return t.data_ptr(), t.shape, t.stride(), t.dtype


def copy_into(answer: Any, found: Any) -> None:
    """Copy what an operation has given to where it was given before, unless it was made in place."""
    for there, new in zip(tree_leaves(answer), tree_leaves(found), strict=True):
        if isinstance(there, Tensor) and place(there) != place(new):
            there.copy_(new)


def _same(asked: Any, before: Any, numbers: bool = False) -> bool:
    """Whether arguments are those of before: tensors at the same place, equal values; ``numbers`` may be others."""
    if asked is before:
        return True
    if isinstance(asked, Tensor):
        return isinstance(before, Tensor) and place(asked) == place(before)
    if isinstance(asked, list | tuple):
        if not isinstance(before, list | tuple) or len(asked) != len(before):
            return False
        return all(map(is_, asked, before)) or all(_same(*pair, numbers) for pair in zip(asked, before, strict=True))
    if isinstance(asked, dict):
        return asked.keys() == before.keys() and all(_same(asked[name], before[name], numbers) for name in asked)
    return asked == before or (numbers and type(asked) is type(before) is float)


def _scalar(func: Any, args: Any) -> Tensor | None:
    """Return the scalar that an operation takes in place of its number."""
    if func not in PRODUCTS or type(args[1]) is not float:
        return None
    factors = args[0] if isinstance(args[0], list | tuple) else [args[0]]
    kinds = {t.dtype for t in factors}
    if len(kinds) > 1 or not kinds <= {torch.float32, torch.float64}:  # half precision multiplies by a wider number
        return None
    return torch.full((), args[1], dtype=factors[0].dtype, device=factors[0].device)


@cache
def _views(func: Any) -> bool:
    """Whether an operation makes tensors on the memory of others; autograd wants new ones each time."""
    return any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)


@cache
def _of_a_profiler(func: Any) -> bool:
    return "_record_function" in func.overloadpacket.__name__
