"""ViT-small with patches of any size: those of 4 pixels are for images of 32."""

from typing import TYPE_CHECKING

from ...errors import ConfigError
from .registry import Task, register_model

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


@register_model(
    "vit_s{patch}",
    "ViT-small (width 384, 12 blocks of 6 heads) on patches of so many pixels",
    paper="Touvron et al. 2021, arXiv:2012.12877",
    examples=("vit_s4", "vit_s8"),
)
def vit_small(task: Task, patch: str) -> "VisionTransformer":
    """Build timm's vision transformer of the small size, with its initialization and without dropout.

    Attention is written out in products and a softmax: fused kernels need not return the same bits twice, and have no
    second derivative.

    Args:
        task: classes, channels and size of the images.
        patch: height and width of a patch, in pixels; it divides those of the image.

    Raises:
        ConfigError: the patch does not divide the image.

    References:
        Dosovitskiy et al. 2021, An Image is Worth 16x16 Words (arXiv:2010.11929); the small size is that of Touvron et
        al. 2021, Training data-efficient image transformers & distillation through attention (arXiv:2012.12877).
    """
    size, side = int(patch), task.image_size
    if size > side or side % size:
        valid = ", ".join(str(one) for one in range(1, side + 1) if side % one == 0)
        raise ConfigError(f"model 'vit_s{patch}' takes no images of {side} pixels; patches that divide them: {valid}")
    from timm.models.vision_transformer import Attention, VisionTransformer  # more than a second

    network = VisionTransformer(
        img_size=side,
        patch_size=size,
        in_chans=task.channels,
        num_classes=task.classes,
        embed_dim=384,
        depth=12,
        num_heads=6,
    )
    for module in network.modules():
        if isinstance(module, Attention):
            module.__dict__["fused_attn"] = False  # final for TorchScript, which nobody uses here
    return network
