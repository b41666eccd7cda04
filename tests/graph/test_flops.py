"""Counts of any torch module: published figures, closed forms, and a name for every operator that is in no count."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as f
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from donna_hw import count_module
from donna_hw._core import torchvision_compat
from donna_hw.errors import ConfigError
from donna_hw.graph.flops import Counts

aten = torch.ops.aten
H, L, D = 3, 8, 4  # heads, length, depth


class Does(nn.Module):
    """A module without weights that does one thing."""

    def __init__(self, what: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> object:
        return self.what(x)


class SelfAttention(nn.Module):
    """Torch's own attention of an input to itself."""

    def __init__(self, features: int, heads: int, need_weights: bool = False) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(features, heads, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x, x, x, need_weights=self.need_weights)[0]
        return out


def count(what: Callable[[Tensor], object], *shape: int) -> Counts:
    return count_module(Does(what), shape)


def zoo(name: str) -> nn.Module:
    """Return timm's network with random weights."""
    torchvision_compat.patch_torchvision()
    import timm

    with torch.device("meta"):
        module: nn.Module = timm.create_model(name)
    return module.to_empty(device="cpu").eval()


def biased_elements(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Return how many output elements the module's convolutions and linear layers add a bias to."""
    found: list[int] = []
    hooks = [
        part.register_forward_hook(lambda *given: found.append(given[2].numel()))
        for part in module.modules()
        if isinstance(part, nn.Linear | nn.Conv2d) and part.bias is not None
    ]
    with torch.no_grad():
        module(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return sum(found)


# Published: GMACs (called GFLOPS there) and millions of parameters of torchvision's weights pages, MobileNetV3 as timm has it
@pytest.mark.parametrize(
    ("name", "giga_macs", "mega_params"),
    [
        ("efficientnet_b0", 0.39, 5.29),
        ("mobilenetv2_100", 0.30, 3.50),
        ("mobilenetv3_large_100", 0.22, 5.48),
        ("resnet50", 4.09, 25.56),
        ("vit_base_patch16_224", 17.56, 86.57),
    ],
)
def test_published_figures_are_met(name: str, giga_macs: float, mega_params: float) -> None:
    module, shape = zoo(name), (3, 224, 224)
    counts = count_module(module, shape)
    assert counts.uncounted == {}
    products = counts.macs - biased_elements(module, shape)  # the published figures have no biases
    assert round(products / 1e9, 2) == giga_macs
    assert round(counts.params / 1e6, 2) == mega_params
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        module(torch.zeros(1, *shape))
    assert flops.get_total_flops() == 2 * (products - counts.attention_macs), "torch counts no fused attention on a CPU"
    if name.startswith("vit"):
        assert round((products - counts.attention_macs) / 1e9, 2) == 16.85
        assert counts.attention_macs == 12 * (12 * 197 * 197 * (64 + 64))
    else:
        assert counts.attention_macs == 0


def test_fused_attention_is_counted_by_its_closed_form_and_its_parts_by_ptflops() -> None:
    whole = H * L * L * 2 * D
    plain = count(lambda x: f.scaled_dot_product_attention(x, x, x), H, L, D)
    assert plain == Counts(whole, 0, whole, {})
    masked = count(lambda x: f.scaled_dot_product_attention(x, x, x, attn_mask=torch.zeros(L, L)), H, L, D)
    assert masked == plain

    def by_parts(x: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return f.scaled_dot_product_attention(x, x, x)

    assert count(by_parts, H, L, D) == Counts(whole, 0, 0, {})


@pytest.mark.parametrize("value_depth", [D, 3 * D])
@pytest.mark.parametrize("keys", [1, 5, 13])
def test_queries_and_keys_may_differ_in_number_and_values_in_depth(keys: int, value_depth: int) -> None:
    def cross(x: Tensor) -> Tensor:
        return f.scaled_dot_product_attention(x, torch.zeros(1, H, keys, D), torch.zeros(1, H, keys, value_depth))

    assert count(cross, H, L, D).macs == H * L * keys * (D + value_depth)


FUSED: dict[str, Callable[[Tensor], object]] = {
    "cpu": lambda x: aten._scaled_dot_product_flash_attention_for_cpu(x, x, x),
    "flash": lambda x: aten._scaled_dot_product_flash_attention(x, x, x),
    "efficient": lambda x: aten._scaled_dot_product_efficient_attention(x, x, x, None, False),
    "cudnn": lambda x: aten._scaled_dot_product_cudnn_attention(x, x, x, None, False),
    "overrideable": lambda x: aten._scaled_dot_product_fused_attention_overrideable(x, x, x),
    "math": lambda x: aten._scaled_dot_product_attention_math(x, x, x),
    "any": lambda x: aten.scaled_dot_product_attention(x, x, x),
}


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("inference", [False, True])
def test_the_attention_of_every_device_is_counted_once(name: str, inference: bool) -> None:
    def attend(x: Tensor) -> object:
        with torch.inference_mode(inference):
            return FUSED[name](x)

    with torch.device("meta"):
        counts = count(attend, H, L, 64)
    assert counts.macs == H * L * L * 2 * 64
    assert counts.uncounted == {}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_torch_s_attention_layer_is_counted_in_evaluation_mode_where_it_would_take_one_fused_operator(
    frozen: bool, need_weights: bool
) -> None:
    features, length = 8, 5
    layer = SelfAttention(features, 2, need_weights).requires_grad_(not frozen).eval()
    projections = length * features * 4 * features + length * 4 * features  # query, key, value, output; biases
    products = length * length * 2 * features
    counts = count_module(layer, (length, features))
    assert counts.macs == projections + products
    assert counts.attention_macs == (0 if need_weights else products)
    assert counts.params == (0 if frozen else 4 * features * (features + 1))
    assert counts.uncounted == {}


def test_torch_s_transformer_is_counted_and_its_fast_path_left_on() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    attention = 5 * 8 * 32 + 5 * 32 + 5 * 5 * 2 * 8
    feed_forward = 5 * 8 * 16 + 5 * 16 + 5 * 16 * 8 + 5 * 8
    assert count_module(layer, (5, 8)).macs == attention + feed_forward
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_fused_operator_itself_is_named() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def fused(x: Tensor) -> object:
        into, out = layer.in_proj_weight, layer.out_proj
        return torch._native_multi_head_attention(x, x, x, 8, 2, into, layer.in_proj_bias, out.weight, out.bias)

    assert count(fused, 5, 8).uncounted == {"aten._native_multi_head_attention": 1}


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Conv1d(4, 6, 3, groups=2, bias=False), (4, 9), 7 * 6 * 2 * 3),
        (nn.Conv3d(4, 6, 3), (4, 5, 5, 5), 27 * (6 * 4 * 27 + 6)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, bias=False), (4, 5, 5), 25 * 4 * 6 * 9),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 5, 5), 25 * 4 * 6 * 9 + 6 * 11 * 11),
        (nn.Linear(8, 5, bias=False), (3, 7, 8), 3 * 7 * 8 * 5),
        (nn.GRU(4, 6, batch_first=True), (5, 4), 5 * 18 * (4 + 6) + 2 * 5 * 18),
        (Does(lambda x: torch.einsum("bchw,bdhw->bcd", x, x)), (3, 8, 7), 3 * 3 * 8 * 7),
        (Does(lambda x: torch.einsum("bchw,bdhw->bchd", x, x)), (3, 8, 7), 3 * 3 * 8 * 7),
        (Does(lambda x: x @ x.transpose(-1, -2)), (3, 8, 7), 3 * 8 * 7 * 8),
    ],
)
def test_closed_forms(module: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert count_module(module, shape) == Counts(macs, sum(p.numel() for p in module.parameters()), 0, {})


def test_an_lstm_is_named_as_the_operator_it_is_or_counted_where_it_has_parts() -> None:
    lstm = nn.LSTM(4, 6, batch_first=True)
    here = count_module(lstm, (5, 4))
    counted = 5 * 24 * (4 + 6) + 2 * 5 * 24
    assert (here.macs == counted) != bool(here.uncounted)
    assert count_module(lstm.to("meta"), (5, 4)) == Counts(counted, lstm_params(4, 6), 0, {})


def lstm_params(inputs: int, hidden: int) -> int:
    return 4 * hidden * (inputs + hidden + 2)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("baddbmm", lambda x: torch.baddbmm(x[0], x[0], x[0])),
        ("addbmm", lambda x: torch.addbmm(x[0, 0], x[0], x[0])),
        ("mv", lambda x: x[0, 0] @ x[0, 0, 0]),
        ("dot", lambda x: x[0, 0, 0] @ x[0, 0, 0]),
        ("addmm_", lambda x: x[0, 0].addmm_(x[0, 1], x[0, 2])),
        ("_trilinear", lambda x: f.bilinear(x, x, torch.ones(3, 8, 8))),
        ("_cdist_forward", lambda x: torch.cdist(x, x)),
        ("_fft_r2c", torch.fft.rfft2),
        ("grid_sampler_2d", lambda x: f.grid_sample(x, torch.zeros(1, 4, 4, 2), align_corners=False)),
        ("upsample_bilinear2d", lambda x: f.interpolate(x, scale_factor=2, mode="bilinear")),
        ("linalg_inv_ex", lambda x: torch.linalg.inv(x + torch.eye(8))),
        ("_int_mm", lambda x: torch._int_mm(torch.ones(32, 8).char(), x[0, 0].char())),
    ],
)
def test_an_operator_that_multiplies_and_is_not_counted_is_named_with_its_calls(
    name: str, what: Callable[[Tensor], object]
) -> None:
    assert count(lambda x: (what(x), what(x)), 3, 8, 8) == Counts(0, 0, 0, {f"aten.{name}": 2})


def test_an_operator_of_somebody_else_is_named() -> None:
    @torch.library.custom_op("donna_hw_test::into", mutates_args={"x"})
    def into(x: Tensor) -> None:
        x.fill_(1)

    assert count(into, 3).uncounted == {"donna_hw_test.into": 1}


def harmless(x: Tensor) -> None:
    """Do what moves, compares, reduces, pools or normalizes, and at most multiplies elementwise."""
    f.hardswish(x + 1, inplace=True), x.clone().gt_(2).unsqueeze_(0).transpose_(0, 1)
    f.group_norm(x, 1), f.layer_norm(x, (8,)), f.rms_norm(x, (8,)), f.instance_norm(x), f.normalize(x)
    (
        f.max_pool2d(x, 2),
        f.avg_pool2d(x, 2),
        f.adaptive_avg_pool2d(x, 3),
        f.adaptive_max_pool2d(x, 3),
        f.lp_pool2d(x, 2, 2),
    )
    f.softmax(x, 1), f.log_softmax(x, 1), f.dropout(x, training=True), f.glu(x), f.prelu(x, torch.ones(1)), f.mish(x)
    f.pad(x, (1, 1, 1, 1), "reflect"), f.interpolate(x, scale_factor=2), f.pixel_shuffle(x, 2), f.unfold(x, 3)
    torch.roll(x, 1), torch.sort(x), torch.cat([x, x]), torch.stack([x, x]), torch.where(x > 0, x, -x), torch.rand(3)
    x.cumsum(1), x.std(), x.mean(), x.amax(1), x.unique(), x.nonzero(), x.masked_select(x > 0), x.tril(), x.topk(2)
    x.repeat(1, 2, 1, 1), x.to(torch.float64), x.index_select(1, torch.tensor([0])), x.sum().item(), x[x > 0]
    f.embedding(torch.zeros(2, dtype=torch.long), x[0, 0]), f.one_hot(torch.zeros(2, dtype=torch.long))


def test_what_does_not_multiply_and_accumulate_is_silent() -> None:
    assert count(harmless, 4, 8, 8) == Counts(0, 0, 0, {})
    assert count(torch.inference_mode()(harmless), 4, 8, 8) == Counts(0, 0, 0, {})


def test_inference_mode_and_its_weights_hide_nothing() -> None:
    outside = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))
    expected = count_module(outside, (3, 8, 8))
    assert expected.macs == 36 * 4 * (3 * 9 + 1) + 144 * 5 + 5
    assert count_module(Does(torch.inference_mode()(outside)), (3, 8, 8)).macs == expected.macs
    with torch.inference_mode():
        inside = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))
        assert count_module(inside, (3, 8, 8)) == expected


def test_a_shared_weight_is_one_parameter_and_works_twice() -> None:
    layer = nn.Linear(6, 6)
    once, twice = count_module(layer, (6,)), count_module(nn.Sequential(layer, nn.ReLU(), layer), (6,))
    assert twice == Counts(2 * once.macs, once.params, 0, {})
    assert once.params == prod((6, 6)) + 6


def test_the_module_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout()).eval()).double()
    module[0].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    count_module(module, (3, 8, 8))
    assert [part.training for part in module.modules()] == [True, True, True, False, False]
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert {p.dtype for p in module.parameters()} == {torch.float64}
    assert {str(p.device) for p in module.parameters()} == {"cpu"}
    assert torch.is_grad_enabled()
    assert capfd.readouterr() == ("", "")


def test_what_cannot_run_is_an_error_of_one_line_and_leaves_the_module_too(capfd: pytest.CaptureFixture[str]) -> None:
    module = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(
        ConfigError, match=r"Sequential on one image of shape \(5,\).*RuntimeError: mat1 and mat2"
    ) as failure:
        count_module(module, (5,))
    assert "\n" not in str(failure.value)
    assert module.training
    assert torch.backends.mha.get_fastpath_enabled()
    assert capfd.readouterr() == ("", "")
