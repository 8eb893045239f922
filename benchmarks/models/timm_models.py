"""Any architecture of timm, from scratch: ``timm:NAME``.

timm is imported when one is built: it takes more than a second, which runs of other models need not pay.
"""

from typing import Any

import torch
from torch import nn

from ...errors import ConfigError, nearest
from .registry import Task, register_model


@register_model(
    "timm:NAME",
    "any architecture of timm, from scratch, with its own norms and initialization",
    paper="Wightman 2019, github.com/huggingface/pytorch-image-models",
    examples=("timm:resnet18",),
)
def timm_model(task: Task, name: str) -> nn.Module:
    """Build ``timm.create_model(name)`` without pretrained weights, with timm's own initialization.

    Architectures whose parameters depend on the image size (most transformers) are told it. One forward pass
    over zeros proves that the architecture takes such images.

    Args:
        task: classes, channels and size of the images.
        name: an architecture of ``timm.list_models()``, without a pretrained tag.

    Raises:
        ConfigError: timm has no such architecture, or it cannot classify images of this shape.

    References:
        Wightman 2019, PyTorch Image Models (github.com/huggingface/pytorch-image-models).
    """
    import timm
    from timm.models import get_pretrained_cfg

    known = timm.list_models()
    if name not in known:
        near = nearest(name, known, most=3)
        hint = f"did you mean {' or '.join(repr(f'timm:{match}') for match in near)}? " if near else ""
        raise ConfigError(
            f"unknown timm model {name!r}; {hint}Valid: the {len(known)} names of timm.list_models(), "
            "without a pretrained tag"
        )
    shape = task.channels, task.image_size, task.image_size
    settings: dict[str, Any] = {"num_classes": task.classes, "in_chans": task.channels}
    card = get_pretrained_cfg(name)
    if card is not None and card.fixed_input_size:
        settings["img_size"] = task.image_size
    try:
        model = timm.create_model(name, pretrained=False, **settings)
        probe = next(model.parameters()).new_zeros(2, *shape)
        with torch.no_grad():
            logits = model.eval()(probe)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"model 'timm:{name}' does not take {'x'.join(map(str, shape))} images ({error}); "
            "choose one with a smaller patch or total stride, or larger images"
        ) from error
    if logits.shape != (2, task.classes):
        raise ConfigError(f"model 'timm:{name}' is no classifier: two images gave an output {tuple(logits.shape)}")
    return model.train()
