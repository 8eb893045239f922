"""The path norm: the l2 norm of the products of the weights along all paths through the network."""

import math

import torch
from torch import nn
from torch.func import functional_call

from ..measuring.registry import Found, NotApplicable, measure
from ..measuring.subject import Subject

KNOWN = (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.BatchNorm1d)


@measure(
    "path_norm",
    "l2 norm over all paths of the products of their weights",
    group="norms",
    settings={},
    values={"path_norm": "sqrt of the sum over paths of the squared products of weights", "log": "its logarithm"},
    paper="Neyshabur et al. 2015, arXiv 1503.00036; Neyshabur et al. 2017, arXiv 1706.08947",
)
def path_norm(subject: Subject) -> Found:
    """Measure sqrt(sum of the outputs at an input of ones) of the network with every weight squared, in float64.

    BatchNorm is the affine map that it is in evaluation mode: its scale is squared, and its shift counts as a bias.
    With weights that are not negative ReLU passes everything, so the sum is one over paths.
    """
    network, state = subject.network, dict[str, torch.Tensor]()
    for name, module in network.named_modules():
        own = {key: t.detach().double() for key, t in [*module.named_parameters(recurse=False)]}
        if not own:
            continue
        if not isinstance(module, KNOWN):
            raise NotApplicable(f"the path norm is not defined here for a layer {type(module).__name__}")
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            mean, var = (module.get_buffer(key).double() for key in ("running_mean", "running_var"))
            scale = own["weight"] / (var + module.eps).sqrt()
            own = {"weight": scale, "bias": own["bias"] - mean * scale}
            state[f"{name}.running_mean"] = torch.zeros_like(mean)
            state[f"{name}.running_var"] = torch.full_like(var, 1 - module.eps)
        state |= {f"{name}.{key}": t.square() for key, t in own.items()}
    ones = torch.ones(1, *subject.dataset.shape, dtype=torch.float64, device=subject.device)
    with torch.no_grad():
        total = float(functional_call(network, state, (ones,)).sum())
    if not math.isfinite(total):
        return {"path_norm": math.inf, "log": math.inf}
    return {"path_norm": math.sqrt(total), "log": 0.5 * math.log(total) if total else -math.inf}
