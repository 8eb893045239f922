"""torch's SGD without torch's compiler, whose import takes longer than a small run.

torch imports it in the first optimizer of a process, to tell it what it may not look into. What it is told is of no use
to a step whose rule calls back into the caller's loop: the code below the decorators is the same.
"""

import inspect
from typing import Any

import torch
from torch.optim import Optimizer

add_param_group = inspect.unwrap(Optimizer.add_param_group)
_step = inspect.unwrap(torch.optim.SGD.step)


class SGD(torch.optim.SGD):
    """Stochastic gradient descent, as ``torch.optim.SGD`` makes it.

    References:
        Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", ICML
        2013, with the learning rate outside the velocity, as torch has it.
    """

    add_param_group = add_param_group
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make one step; ``closure``, if there is one, is evaluated first and its loss returned."""
        return _step(self, closure)
