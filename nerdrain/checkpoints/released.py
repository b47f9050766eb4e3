"""Names and shapes in the authors' checkpoints, and the configuration that follows from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from statistics import mode

from torch import Tensor

from nerdrain.errors import NerdrainError, abbreviate
from nerdrain.model.config import NeRDRainConfig

_SUFFIX = {"s1": "small", "s2": "mid", "s3": "max"}
_UNIT = {"s2.0": "BF1", "s2.1": "BF2", "s1.0": "BF3"}

_WITHIN_BLOCK = {
    "norm1": "norm1.body",
    "norm2": "norm2.body",
    "attention.temperature": "attn.temperature",
    "attention.qkv": "attn.qkv",
    "attention.qkv_depthwise": "attn.qkv_dwconv.main.0",
    "attention.project": "attn.project_out",
    "feed_forward.expand": "ffn.project_in",
    "feed_forward.depthwise": "ffn.dwconv.main.0",
    "feed_forward.project": "ffn.project_out",
}
_WITHIN_UNET = {  # {n}: the UNet's number; {m}: the same, but missing for a scale's first UNet
    "encoder.level1": "encoder_level1_{n}",
    "encoder.down1.0": "down1_2_{m}.body.0",
    "encoder.level2": "encoder_level2_{n}",
    "encoder.down2.0": "down2_3_{m}.body.0",
    "encoder.level3": "latent_{n}",
    "decoder.up2.0": "up3_2_{m}.body.0",
    "decoder.reduce2": "reduce_chan_level2_{n}",
    "decoder.level2": "decoder_level2_{n}",
    "decoder.up1.0": "up2_1_{m}.body.0",
    "decoder.reduce1": "reduce_chan_level1_{n}",
    "decoder.level1": "decoder_level1_{n}",
}
_WITHIN_FEEDBACK = {
    "gate.conv_a": "query_conv",
    "gate.conv_b": "key_conv",
    "maps_a": "gamma1",
    "maps_b": "gamma2",
}


def released_name(name: str) -> str:
    """The released checkpoint's name of one of our parameters (M123, fidelity "released").

    Raises:
        NerdrainError: The released network has no such parameter.
    """
    translations = {"scales": _scale_name, "inrs": _inr_name, "feedback": _feedback_name}
    try:
        kind, scale, rest = name.split(".", 2)
        return translations[kind](scale, rest)
    except (KeyError, ValueError):  # a part of the name is in none of the tables
        raise NerdrainError(f"The released network has no parameter like {name}.") from None


def _scale_name(scale: str, rest: str) -> str:
    suffix = _SUFFIX[scale]
    if match := re.fullmatch(r"unets\.(\d+)\.(\w+\.(?:down\d\.0|up\d\.0|\w+))\.(.+)", rest):
        number, part, tail = int(match[1]) + 1, match[2], match[3]
        n = suffix if scale == "s1" else f"{suffix}{number}"
        m = suffix if number == 1 else f"{suffix}{number}"
        stem = _WITHIN_UNET[part].format(n=n, m=m)
        if block := re.fullmatch(r"(\d+)\.(.+?)(\.weight|\.bias)?", tail):
            return f"{stem}.{block[1]}.{_WITHIN_BLOCK[block[2]]}{block[3] or ''}"
        return f"{stem}.{tail}"
    if match := re.fullmatch(r"contexts\.(\d+)\.weight", rest):
        number_text = "" if scale == "s2" else str(int(match[1]) + 1)
        return f"output_{suffix}_context{number_text}.weight"
    return {
        "embed.weight": f"patch_embed_{suffix}.proj.weight",
        "output.weight": f"output_{suffix}.weight",
    }[rest]


def _inr_name(scale: str, rest: str) -> str:
    if match := re.fullmatch(r"decoder\.layers\.(\d)\.(\w+)", rest):
        return f"{'INR' if scale == 's1' else 'INR2'}.imnet.layers.{2 * int(match[1])}.{match[2]}"
    if match := re.fullmatch(r"expand\.(\d)\.0\.weight", rest):
        stem = "upsmall2mid" if scale == "s1" else "upmid2max"
        return f"{stem}{int(match[1]) + 1}.body.0.weight"
    raise KeyError(rest)


def _feedback_name(scale: str, rest: str) -> str:
    number, inside = rest.split(".", 1)
    part, kind = inside.rsplit(".", 1)
    return f"{_UNIT[f'{scale}.{number}']}.{_WITHIN_FEEDBACK[part]}.{kind}"


def without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the ``module.`` that `torch.nn.DataParallel` puts in front of all of them."""
    if not all(name.startswith("module.") for name in state):
        return dict(state)
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def config_from_shapes(state: Mapping[str, Tensor]) -> NeRDRainConfig:
    """The configuration of a released checkpoint, read off its tensors' names and shapes.

    Raises:
        NerdrainError: A tensor that determines the configuration is missing.
    """

    def shape(name: str) -> tuple[int, ...]:
        if name not in state:
            raise NerdrainError(f"it has no tensor {name}")
        size = tuple(state[name].shape)
        if len(size) < (4 if name.startswith("patch_embed") else 2) or 0 in size:
            raise NerdrainError(f"its tensor {name} has the shape {abbreviate(size)}")
        return size

    def count(stem: str) -> int:
        pattern = re.compile(re.escape(stem) + r"\.(\d+)\.")
        return len({match[1] for name in state if (match := pattern.match(name))})

    # The width of most scales, so that the error names the one tensor that differs.
    width = mode(shape(f"patch_embed_{suffix}.proj.weight")[0] for suffix in _SUFFIX.values())
    levels = [f"{stem}_max1" for stem in ("encoder_level1", "encoder_level2", "latent")]
    hidden = [shape(f"{level}.0.ffn.project_in.weight")[0] // 2 for level in levels]
    inr_hidden, inputs, *_ = shape("INR.imnet.layers.0.weight")
    return NeRDRainConfig().with_changes(
        width=width,
        blocks=[count(level) for level in levels],
        heads=[shape(f"{level}.0.attn.temperature")[0] for level in levels],
        expansion=_expansion(width, hidden),
        norm="with_bias" if f"{levels[0]}.0.norm1.body.bias" in state else "bias_free",
        inr_hidden=inr_hidden,
        inr_encoding=inputs - 9 * width > 4,
        feedback="bfpu" if any(name.startswith("BF1.") for name in state) else "concat",
    )


def _expansion(width: int, hidden: list[int]) -> float:
    """A ratio that gives the levels' hidden widths, rounded down; 2.66 where it does.

    If no ratio gives all three, the one that gives most; loading then names the other tensors.
    """
    levels = [(h, width << level) for level, h in enumerate(hidden)]
    ratios = [2.66, *(r for h, c in levels for r in (h / c, (h + 0.5) / c))]
    return max(ratios, key=lambda ratio: sum(int(c * ratio) == h for h, c in levels))
