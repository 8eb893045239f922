"""The contract of a plug-in optimizer: what a step rule is given, what it must do, what it may rely on.

A *step rule* wraps a base optimizer. The caller hands :meth:`StepRule.step` a closure that zeroes the gradients,
runs forward and backward and returns the loss (the convention of ``torch.optim.LBFGS``); the rule calls it as often as
its definition needs and ends with one step of the base optimizer. A rule implements :meth:`StepRule.update` and states
its update rule there in terms of three verbs:

    gradient = self.gradient(closure)          # evaluate: loss and gradient at the present weights
    with self.perturbed(gradient, ascent):     # go to w + ascent, come back bit for bit
        ...
    self.descend(gradient)                     # one step of the base optimizer with this gradient
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from ..errors import ConfigError, StateError
from ..hyper import Value
from ..seeding import generator
from ._evaluation import Evaluations, SkipStep, forget_casts
from ._gradient import TINY, Gradient, copied, global_norm, tensor_norms
from ._oracle import Closure, GradientOracle
from ._param_groups import Owner, check_owners, read_parameters
from ._reserved_names import STATE, check_assignment
from ._sgd import add_param_group
from ._shards import cut_like, local
from ._state import FLATTENED, Nothing, is_asked_to_fill, pack, placed, unpack
from .info import VariantInfo

__all__ = ["TINY", "Closure", "Gradient", "GradientOracle", "Owner", "StepRule", "global_norm", "local", "tensor_norms"]


PLUGINS = frozenset({"hook", "average"})
"""Needs that a rule does not act on itself: a variant that is its base with a plug-in, which the caller carries out."""


class StepRule(Optimizer):
    """An optimizer that wraps another one and evaluates the gradient through a closure.

    Parameter groups and per-parameter state *are* the base optimizer's, so learning-rate schedulers, hooks and
    per-group values work as on any optimizer. What the rule itself remembers lives in ``own`` (tensors per parameter)
    and ``scalars``, and travels in the same ``state_dict``.

    A step is a transaction: a rule evaluates every gradient before it changes any state, so that a closure which raises
    leaves weights and state as they were.
    """

    info: ClassVar[VariantInfo]
    base: Optimizer
    owners: dict[Tensor, Owner]
    seed: int
    steps: int
    """Steps completed."""
    own: dict[Tensor, dict[str, Tensor]]
    """Tensors that the rule remembers for a parameter."""
    scalars: dict[str, Any]
    """Numbers that it remembers."""
    _evaluations: Evaluations | None = None
    """Those of the step that is being made."""
    _filled: bool = False
    """Whether what it remembers was made for torch's checkpoint helpers, and no step was made or state loaded since."""
    mean_over_devices: Callable[[list[Tensor]], None] | None = None
    """Set by whoever trains on several devices with a perturbation of its own on each: averages tensors in place."""

    def __init__(self, base: Optimizer, owners: dict[Tensor, Owner], hyper: dict[str, Value], seed: int = 0):
        super().__init__(base.param_groups, {**base.defaults, **hyper})
        base.defaults.update(hyper)
        vars(self).update(base=base, owners=owners, seed=seed, steps=0, own={}, scalars={})
        self._share_with_base()
        self._check_direction(self.param_groups)

    def _share_with_base(self) -> None:
        self.param_groups = self.base.param_groups
        self.state = self.base.state

    def _check_direction(self, groups: list[dict[str, Any]]) -> None:
        """Refuse groups that maximize, unless the rule is its base: it perturbs towards a larger loss.

        Raises:
            ConfigError: a group does.
        """
        if self.info.neutral != {} and any(group.get("maximize") for group in groups):
            raise ConfigError(
                f"maximize=True is not valid with {self.info.name!r}, which looks for a larger loss and then makes it "
                "smaller; minimize the negative loss"
            )

    def _check_plugin(self, kind: str, plugin: Any) -> None:
        """Make sure that what the caller carries out is what this variant is made of, with the settings it was given.

        Raises:
            ConfigError: it is another one, or has other settings.
        """
        wanted = getattr(self.info, kind)
        make = f"{kind}=create_{kind}({wanted!r}, model, ...)"
        if plugin.name != wanted:
            raise ConfigError(
                f"{self.info.name!r} is its base with {kind} {wanted!r}, not {plugin.name!r}: give {make}"
            )
        for group in self.param_groups:
            for key in plugin.settings.keys() & self.info.hyper.keys():
                if group[key] not in (plugin.settings[key], self.info.hyper[key].default):
                    raise ConfigError(
                        f"{key}={group[key]!r} of {self.info.name!r} is not what its {kind} has, "
                        f"{plugin.settings[key]!r}: the {kind} carries it out, so give it there, too: {make}"
                    )

    def __setattr__(self, name: str, value: Any) -> None:
        check_assignment(self, name)
        super().__setattr__(name, value)

    # -- what a variant implements ---------------------------------------------------------------------------

    def update(self, closure: Any) -> Tensor:
        """Make one step and return the loss at the unperturbed weights."""
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    # -- what a variant uses ---------------------------------------------------------------------------------

    def gradient(self, closure: Callable[..., Tensor], **request: Any) -> Gradient:
        """Evaluate the closure at the present weights and take the gradients out of the parameters.

        All gradients of a step list the same parameters, those that require one; where a pass leaves none, it is zero.
        They are the rule's own to overwrite: nothing that the closure does later reaches them, and ``p.grad`` is None.
        """
        return (self._evaluations or self._new_evaluations()).evaluate(closure, request)

    def _new_evaluations(self) -> Evaluations:
        def name(p: Tensor) -> str:
            return f"parameter {self.owners[p].name if p in self.owners else f'of shape {tuple(p.shape)}'}"

        return Evaluations([p for group in self.param_groups for p in group["params"]], name)

    def groups(self, gradient: Gradient) -> Iterator[tuple[dict[str, Any], list[Tensor], list[Tensor]]]:
        """Yield each parameter group that has any gradient, with those parameters and their values.

        A group without one is left out: ``torch._foreach_*`` refuses empty lists, and here nobody has to think of it.
        """
        if len(self.param_groups) == 1:
            if gradient.params:
                yield self.param_groups[0], gradient.params, gradient.values
            return
        index = {p: i for i, p in enumerate(gradient.params)}
        for group in self.param_groups:
            at = [index[p] for p in group["params"] if p in index]
            if at:
                yield group, [gradient.params[i] for i in at], [gradient.values[i] for i in at]

    @contextmanager
    def perturbed(self, at: Gradient, ascent: list[Tensor]) -> Iterator[None]:
        """Add ``ascent`` to the weights inside the block, and put back the very bits that were there.

        The weights come back from a stored copy with ``copy_``, also when the block raises: subtraction would drift (in
        bfloat16 visibly within a hundred steps), and storage is never rebound. The block holds no reference to
        ``ascent``: where the caller keeps none, its memory is free during the passes inside.
        """
        params = local(at.params)
        stored = copied(params)
        try:
            if ascent:
                torch._foreach_add_(params, local(cut_like(ascent, at.params)))
            del ascent
            forget_casts()
            yield
        finally:
            if stored:
                torch._foreach_copy_(params, stored)
            forget_casts()

    def descend(self, gradient: Gradient) -> None:
        """Give the parameters this gradient and take one step of the base optimizer."""
        self.average(gradient)
        for p, g in zip(gradient.params, gradient.values, strict=True):
            p.grad = g
        self.base.step()

    def average(self, gradient: Gradient) -> Gradient:
        """Replace values by their mean over devices that evaluate their own share of the batch, and return them.

        On one device, and where every evaluation is of the whole batch, there is nothing to average; a parameter that
        no pass of the step left a gradient for is dropped then, so that nothing moves it (several devices would have
        to agree on it). :meth:`descend` averages what it is given; a rule that moves weights by anything else averages
        that first, or the devices drift apart.
        """
        if self.mean_over_devices is not None:
            self.mean_over_devices(gradient.values)
        elif self._evaluations and (absent := self._evaluations.absent):
            pairs = [(p, g) for p, g in zip(gradient.params, gradient.values, strict=True) if p not in absent]
            gradient.params, gradient.values = [p for p, _ in pairs], [g for _, g in pairs]
        return gradient

    def noise(self) -> torch.Generator:
        """The variant's own random stream of this step, a function of the seed and the step number alone."""
        first = next(p for group in self.param_groups for p in group["params"])
        return generator(f"variant:{self.info.name}", self.seed, self.steps, device=first.device)

    def ask(self, closure: Any, what: str) -> Any:
        """Return an attribute of the oracle, or say clearly that a plain closure does not have it."""
        if not hasattr(closure, what):
            raise ConfigError(
                f"{self.info.name!r} needs {what!r}, which a plain closure cannot give; step with "
                "sambench.Oracle(...).bind(batch), see docs/own-loop.md"
            )
        return getattr(closure, what)

    # -- the Optimizer interface -----------------------------------------------------------------------------

    @overload
    def step(self, closure: Callable[..., Tensor | float]) -> Tensor: ...

    @overload
    def step(self, closure: Closure | None = None) -> Tensor | None: ...

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Tensor | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make one step.

        Args:
            closure: zeroes the gradients, runs forward and backward, returns the loss. It is called by the optimizer,
                as often as the variant needs: do not call ``backward()`` yourself.

        Returns:
            The loss at the unperturbed weights, a detached scalar; or None where the closure returned None, which skips
            the step: weights, state and counters stay as they are.

        Raises:
            ConfigError: there is no closure, or it does not do or return what it should.
            StateError: the closure accumulates onto gradients from before the step.
        """
        if closure is None and is_asked_to_fill(self.param_groups):
            return self._fill()
        if closure is None:
            raise ConfigError(
                f"{self.info.name!r} evaluates the gradient itself: call optimizer.step(closure) with a closure that "
                "zeroes the gradients, runs forward and backward, and returns the loss"
            )
        self._check_direction(self.param_groups)
        for need in PLUGINS.intersection(self.info.needs):  # without it this would be another method, silently
            self._check_plugin(need, self.ask(closure, need))
        if self._filled:
            self.base.state.clear()
            vars(self).update(own={}, scalars={}, _filled=False)
        vars(self)["_evaluations"] = self._new_evaluations()
        try:
            loss = self.update(closure)
        except SkipStep:
            return None
        except BaseException:
            if (abandon := getattr(closure, "abandon_step", None)) is not None:
                abandon()
            raise
        finally:
            vars(self)["_evaluations"] = None
            forget_casts()
        vars(self)["steps"] += 1
        return loss

    def _fill(self) -> None:
        """Make what a rule remembers from its first step on, for torch's checkpoint helpers to load into."""
        if self.steps or self.own:
            return
        params = [p for group in self.param_groups for p in group["params"]]
        with self.perturbed(Gradient(torch.zeros(()), params, []), []):
            self.update(Nothing(params))
        vars(self)["_filled"] = True

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Register a hook that is called before each step of the base optimizer, when ``p.grad`` is what it steps with.

        So clipping there acts on the final gradient. A rule that makes no base step calls it before its own step.
        """
        if not self.info.steps_base:
            return super().register_step_pre_hook(hook)
        return self.base.register_step_pre_hook(lambda _, args, kwargs: hook(self, args, kwargs))

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along; hooks stay behind, as on any torch optimizer."""
        return {**super().__getstate__(), **{name: vars(self)[name] for name in STATE}}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; what it leaves out takes the optimizer's defaults.

        Raises:
            ConfigError: a value is out of range, parameters cannot be used, or the rule needs their names and was given
                none (a parameter may come with its name, as ``(name, parameter)``).
        """
        if "base" not in self.__dict__:  # called by Optimizer.__init__ with the groups that the base already completed
            add_param_group(self, param_group)
            return
        layout = read_parameters([param_group])
        (group,) = layout.groups
        group |= {key: hyper.check(key, group[key]) for key, hyper in self.info.hyper.items() if key in group}
        owners = {**self.owners, **layout.owners}
        check_owners(self.info, group["params"], owners)
        self._check_direction([group])
        self.base.add_param_group(group)
        vars(self)["owners"] = owners

    def state_dict(self) -> dict[str, Any]:
        """The whole state: the base optimizer's, and under ``"variant"`` what the rule itself remembers."""
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        params = [p for group in self.param_groups for p in group["params"]]
        own = {i: dict(self.own[p]) for i, p in enumerate(params) if p in self.own}
        memory = {"name": self.info.name, "steps": self.steps, "scalars": dict(self.scalars), "own": own}
        state = pack(self.base.state_dict(), memory)
        for after in self._optimizer_state_dict_post_hooks.values():
            changed = after(self, state)
            state = state if changed is None else changed
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a saved state; the next step then has the same bits as if there had been no interruption."""
        rest = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            changed = before(self, rest)
            rest = rest if changed is None else dict(changed)
        rest, saved = unpack(rest)
        if saved is None or saved["name"] != self.info.name:
            found = repr(saved["name"]) if saved else f"a plain optimizer (or {FLATTENED})"
            raise StateError(f"this state belongs to {found}, not to {self.info.name!r}; create that one to load it")
        self._check_direction(rest["param_groups"])
        self.base.load_state_dict(rest)
        self._share_with_base()
        for group in self.param_groups:  # a state from before a hyper-parameter was declared
            for key, hyper in self.info.hyper.items():
                group.setdefault(key, self.defaults.get(key, hyper.default))
        params = [p for group in self.param_groups for p in group["params"]]
        own = {
            params[int(i)]: {key: placed(value, params[int(i)]) for key, value in tensors.items()}
            for i, tensors in saved["own"].items()
        }
        vars(self).update(steps=saved["steps"], scalars=dict(saved["scalars"]), own=own, _filled=False)
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)
