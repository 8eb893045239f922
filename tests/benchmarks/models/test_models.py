"""Models: published sizes, seeded initial weights, and nothing that training would trip over."""

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import vgg16_bn

from sambench.benchmarks import models
from sambench.benchmarks.models import MODELS, ModelInfo, build, parameters_of
from sambench.benchmarks.models.layers import conv, group_count
from sambench.benchmarks.models.pyramidnet import PyramidBlock
from sambench.benchmarks.models.registry import Task, _construct
from sambench.benchmarks.models.resnet import ResNet
from sambench.benchmarks.resolve import make_spec
from sambench.errors import ConfigError

FAMILIES = pytest.mark.parametrize("info", MODELS.all(), ids=lambda info: info.name)
SMALL = ("wrn10_1", "resnet8", "preactresnet18", "resnet18", "mlp", "timm:test_vit")
SMALL += ("pyramidnet8_12", "pyramidnet11_9_bottleneck", "vgg16_bn", "vit_s8")
SMALL_MODELS = pytest.mark.parametrize("name", SMALL)


def smallest(info: ModelInfo) -> str:
    return min(info.parameters, key=info.parameters.__getitem__)


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "millions", "digits"),
    [
        ("wrn28_10", 36.5, 1),
        ("wrn16_8", 11.0, 1),
        ("wrn22_8", 17.2, 1),
        ("wrn40_4", 8.9, 1),
        ("wrn40_10", 55.8, 1),
        ("wrn40_2", 2.2, 1),
        ("wrn40_1", 0.6, 1),
        ("wrn16_4", 2.75, 2),
        ("resnet18", 11.17, 2),
        ("preactresnet18", 11.17, 2),
    ],
)
def test_the_size_is_the_published_one(name: str, millions: float, digits: int) -> None:
    assert round(parameters_of(name, classes=10) / 1e6, digits) == millions


@pytest.mark.parametrize(
    ("name", "count"),
    [  # osmr/imgclsmob lists the counts of its networks for CIFAR-10; the papers round them
        ("pyramidnet110_48", 1_772_706),
        ("pyramidnet110_84", 3_904_446),
        ("pyramidnet110_270", 28_485_477),
        ("pyramidnet164_270_bottleneck", 27_216_021),
        ("pyramidnet272_200_bottleneck", 26_210_842),
    ],
)
def test_pyramidnets_have_the_published_sizes(name: str, count: int) -> None:
    assert parameters_of(name, classes=10) == count


def test_pyramidnet_computes_the_published_graph() -> None:
    """Written out from the definition, a block with a wider and smaller output than its input."""
    block = PyramidBlock(3, 5, 2, bottleneck=False).double()
    x = torch.randn(4, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def norm(x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, None, None, training=True)

    first, second = (F.conv2d for _ in range(2))
    inner = norm(first(norm(x), block.convs[0].weight, stride=2, padding=1)).clamp(min=0)
    expected = norm(second(inner, block.convs[1].weight, padding=1))
    expected[:, :3] += F.avg_pool2d(x, 2, ceil_mode=True)
    torch.testing.assert_close(block(x), expected)


def test_vgg_has_the_convolutions_of_torchvisions_and_one_linear_layer() -> None:
    with torch.device("meta"):
        theirs = sum(p.numel() for p in vgg16_bn(num_classes=10).features.parameters())
    assert parameters_of("vgg16_bn", classes=10) == theirs + 512 * 10 + 10 == 14_728_266


def test_vit_small_has_the_published_size_and_computes_attention_in_the_open() -> None:
    """22 million parameters at 224 pixels and 1,000 classes: table 1 of the paper (timm counts 22,050,664)."""
    assert parameters_of("vit_s16", classes=1000, image_size=224) == 22_050_664
    model = build("vit_s4", classes=10, seed=0).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ours = model(images)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            assert not module.fused_attn
            module.fused_attn = True
    torch.testing.assert_close(ours, model(images))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pyramidnet111_84", "nearest valid: 110 and 116"),
        ("pyramidnet4_84_bottleneck", "nearest valid: 11 and 20"),
        ("vit_s5", "patches that divide them: 1, 2, 4, 8, 16, 32"),
        ("vit_s64", "patches that divide them: 1, 2, 4, 8, 16, 32"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parameters_of(name, classes=10)


@pytest.mark.parametrize(("blocks", "millions"), [(3, 0.27), (5, 0.46), (7, 0.66), (9, 0.85), (18, 1.7)])
def test_the_family_of_resnet8_has_the_published_sizes(blocks: int, millions: float) -> None:
    """Table 6 of the paper, for ResNet-20 to ResNet-110; the smallest member of the family follows."""
    with torch.device("meta"):
        family = [ResNet((16, 32, 64), n, 10, 3, "batch", projected=False) for n in (1, blocks)]
    sizes = [sum(p.numel() for p in model.parameters()) for model in family]
    assert sizes[0] == parameters_of("resnet8", classes=10) == 75_290
    assert sizes[1] / 1e6 == pytest.approx(millions, abs=0.05 if millions > 1 else 0.01)


@pytest.mark.parametrize(("depth", "width"), [(10, 1), (16, 1), (16, 4), (28, 2)])
def test_wide_resnet_size_follows_the_formula(depth: int, width: int) -> None:
    blocks = (depth - 4) // 6
    count, inputs = 3 * 16 * 9, 16
    for outputs in (16 * width, 32 * width, 64 * width):
        for block in range(blocks):
            count += 9 * inputs * outputs + 9 * outputs**2 + 2 * inputs + 2 * outputs
            changes = inputs != outputs or (block == 0 and outputs > 16 * width)
            count += inputs * outputs if changes else 0
            inputs = outputs
    count += 2 * inputs + inputs * 10 + 10
    assert parameters_of(f"wrn{depth}_{width}", classes=10) == count


def test_resnet18_computes_what_timms_resnet18_computes_with_the_same_stem() -> None:
    """The reference is timm's own network with its stem replaced, fed with our weights in order."""
    ours = build("resnet18", classes=10, seed=0).double().eval()
    theirs = timm.create_model("resnet18", num_classes=10).double().eval()
    theirs.conv1, theirs.maxpool = conv(3, 64, 3).double(), nn.Identity()
    values = {key: value for key, value in ours.state_dict().items() if "num_batches" not in key}
    slots = [key for key in theirs.state_dict() if "num_batches" not in key]
    theirs.load_state_dict(dict(zip(slots, values.values(), strict=True)), strict=False)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(images), theirs(images))


def test_wide_resnet_computes_the_published_graph() -> None:
    """Written out from the definition: shared pre-activation where the shape changes, raw input elsewhere."""
    model = build("wrn16_1", classes=10, seed=0).double()
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    tensors = dict(model.named_parameters())

    def active(x: torch.Tensor, key: str) -> torch.Tensor:
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = tensors[f"{key}.weight"], tensors[f"{key}.bias"]
        x = (x - mean) / (variance + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]
        return x.clamp(min=0)

    x = F.conv2d(images, tensors["stem.weight"], padding=1)
    for block, stride in enumerate((1, 1, 2, 1, 2, 1)):
        key = f"blocks.{block}"
        out = active(x, f"{key}.norm1")
        skip = F.conv2d(out, tensors[f"{key}.shortcut.weight"], stride=stride) if stride == 2 else x
        out = F.conv2d(out, tensors[f"{key}.conv1.weight"], stride=stride, padding=1)
        x = skip + F.conv2d(active(out, f"{key}.norm2"), tensors[f"{key}.conv2.weight"], padding=1)
    expected = active(x, "norm").mean((2, 3)) @ tensors["head.weight"].T + tensors["head.bias"]
    torch.testing.assert_close(model(images), expected)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (3, 64)])
@pytest.mark.parametrize("norm", ["batch", "group"])
@FAMILIES
def test_every_family_takes_every_image_shape(info: ModelInfo, norm: str, channels: int, size: int) -> None:
    if norm not in info.norms:
        with pytest.raises(ConfigError, match=r"its own norms.*norm='group'.*leave it at 'batch'"):
            build(smallest(info), classes=7, channels=channels, image_size=size, norm=norm, seed=0)
        return
    with torch.device("meta"):  # shapes need no numbers
        model = _construct(smallest(info), Task(7, channels, size, norm))
        assert model(torch.zeros(2, channels, size, size)).shape == (2, 7)
    assert model.training
    kinds = {type(module) for module in model.modules()}
    assert (nn.GroupNorm in kinds) == (norm == "group")
    assert norm == "batch" or nn.BatchNorm2d not in kinds


@pytest.mark.parametrize(
    ("name", "norm"),
    [(name, "batch") for name in SMALL] + [(name, "group") for name in ("wrn10_1", "preactresnet18", "resnet18")],
)
def test_every_parameter_gets_a_gradient(name: str, norm: str) -> None:
    model = build(name, classes=10, norm=norm, seed=0)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    F.cross_entropy(model(images), torch.arange(4)).backward()
    silent = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    # A key's bias shifts all attention scores of a query alike, which the softmax does not see.
    assert [key for key in silent if "attn" not in key] == []


@SMALL_MODELS
def test_the_seed_and_nothing_else_decides_the_weights(name: str) -> None:
    first = build(name, classes=10, seed=3)
    torch.rand(5)
    with torch.device("meta"):
        second = build(name, classes=10, seed=3)
    assert all(value.device.type == "cpu" for value in second.state_dict().values())
    assert first.state_dict().keys() == second.state_dict().keys()
    assert all(torch.equal(first.state_dict()[key], second.state_dict()[key]) for key in first.state_dict())
    assert not same(first, build(name, classes=10, seed=4))


@SMALL_MODELS
def test_building_and_counting_leave_the_global_generator_alone(name: str) -> None:
    before = torch.get_rng_state()
    build(name, classes=10, seed=0)
    parameters_of(name, classes=10)
    assert torch.equal(torch.get_rng_state(), before)


@SMALL_MODELS
def test_counting_without_allocating_agrees_with_the_built_model(name: str) -> None:
    model = build(name, classes=5, channels=1, image_size=16, seed=0)
    expected = sum(parameter.numel() for parameter in model.parameters())
    assert parameters_of(name, classes=5, channels=1, image_size=16) == expected


def test_convolutions_start_he_normal_and_norms_start_at_identity() -> None:
    model = build("wrn16_4", classes=10, seed=0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            normalized = module.weight.detach() * (fan_out / 2) ** 0.5
            error = (2 / normalized.numel()) ** 0.5 / 2  # of a standard deviation from so many draws
            assert abs(normalized.std() - 1) < 5 * error
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all()
            assert module.bias.eq(0).all()
        elif isinstance(module, nn.Linear):
            assert module.bias.eq(0).all()


def test_group_norm_treats_each_image_alone() -> None:
    model = build("wrn10_1", classes=10, norm="group", seed=0).double()
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(images)[:1], model(images[:1]))


def test_groups_are_the_largest_divisor_up_to_32() -> None:
    assert [group_count(channels) for channels in (1, 7, 31, 33, 62, 512)] == [1, 7, 31, 11, 31, 32]
    assert [group_count(16 * width) for width in (1, 2, 3, 5, 10)] == [16, 32, 24, 20, 32]


@pytest.mark.parametrize("name", ["wrn10_1", "mlp"])
def test_the_graph_compiles_whole(name: str) -> None:
    model = build(name, classes=10, seed=0)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), model(images))


@pytest.mark.parametrize("name", ["wrn16_1", "preactresnet18", "resnet18"])
def test_channels_last_reaches_the_last_block(name: str) -> None:
    model = build(name, classes=10, seed=0).to(memory_format=torch.channels_last)
    model.get_submodule("blocks").register_forward_hook(
        lambda module, inputs, output: layouts.append(output.is_contiguous(memory_format=torch.channels_last))
    )
    layouts: list[bool] = []
    model(torch.zeros(4, 3, 32, 32).to(memory_format=torch.channels_last))
    assert layouts == [True]


@pytest.mark.parametrize("depth", [11, 27, 18])
def test_an_impossible_depth_names_the_nearest(depth: int) -> None:
    below = {11: 10, 27: 22, 18: 16}[depth]
    message = rf"wrn{depth}_2.*6n \+ 4.*got {depth}; nearest valid: {below} and {below + 6}$"
    with pytest.raises(ConfigError, match=message):
        build(f"wrn{depth}_2", classes=10, seed=0)


@pytest.mark.parametrize("depth", [1, 4, 9])
def test_a_depth_below_the_shallowest_names_it(depth: int) -> None:
    with pytest.raises(ConfigError, match=r"nearest valid: 10$"):
        build(f"wrn{depth}_2", classes=10, seed=0)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("wrn-28-10", "'wrn28_10'"),
        ("WRN16_8", "'wrn16_8'"),
        ("wrn16_0", "'wrn16_8'"),
        ("wrn016_1", "'wrn16_1'"),
        ("preact_resnet18", "'preactresnet18'"),
        ("timm:resnet_18", "'timm:resnet18'"),
        ("timm:resnet18.a1_in1k", "'timm:resnet18'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, suggestion: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown .*did you mean .*{suggestion}.*Valid: "):
        build(name, classes=10, seed=0)


@SMALL_MODELS
def test_images_that_are_not_square_are_taken_or_refused_with_the_way_out(name: str) -> None:
    spec = make_spec({"variant": "sgd", "dataset": "digits", "model": name})
    if name in ("mlp", "vit_s8"):
        with pytest.raises(ConfigError, match=r"are 32 x 48: bring them to one size with augment='resize:32'"):
            models.build_for(spec, (1, 32, 48), 10)
    else:
        network = models.build_for(spec, (1, 32, 48), 10)
        assert network.eval()(torch.zeros(2, 1, 32, 48)).shape == (2, 10)


def test_an_unknown_name_lists_the_families() -> None:
    with pytest.raises(ConfigError) as refusal:
        build("zzz", classes=10, seed=0)
    assert all(info.name in str(refusal.value) for info in MODELS.all())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "layer"}, "unknown normalization 'layer'.*batch, group"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"channels": -1}, "channels must be at least 1, got -1"),
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("wrn10_1", **{"classes": 10, "seed": 0, **settings})


def test_timm_is_told_the_image_size_where_it_matters() -> None:
    model = build("timm:test_vit", classes=10, image_size=32, seed=0)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert parameters_of("timm:test_vit", classes=10, image_size=64) > parameters_of(
        "timm:test_vit", classes=10, image_size=32
    )


def test_timm_models_that_cannot_take_the_images_are_refused_before_training() -> None:
    with pytest.raises(ConfigError, match=r"timm:vit_tiny_patch16_224' does not take 1x8x8 images"):
        build("timm:vit_tiny_patch16_224", classes=10, channels=1, image_size=8, seed=0)


def test_activations_are_counted_as_a_pass_keeps_them():
    network = models.build("wrn10_1", classes=10, channels=1, image_size=8, seed=0)
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t):
        logits = network(torch.zeros(16, 1, 8, 8))
        F.cross_entropy(logits, torch.zeros(16, dtype=torch.long))
    own = {t.data_ptr() for t in (*network.parameters(), *network.buffers())}
    expected = sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in own)
    assert models.activation_bytes_of("wrn10_1", batch=16, classes=10, channels=1, image_size=8) == expected
