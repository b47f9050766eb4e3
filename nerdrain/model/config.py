"""The configuration of a network, as one frozen value; every ablation is a field of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nerdrain.errors import NerdrainError, Settings

LARGEST = 2**16
"""Largest width; a larger number is most likely a typing error."""

Channels = Annotated[int, Field(ge=1, le=LARGEST)]
Heads = Annotated[int, Field(ge=1, le=64)]
Blocks = Annotated[int, Field(ge=1, le=16)]  # the deepest network is built in seconds
UNets = Annotated[int, Field(ge=0, le=8)]
# JSON has lists where Python has tuples.
AllowLists = Field(strict=False)


class NeRDRainConfig(Settings):
    """The whole network as a value.

    Raises:
        NerdrainError: A field is unknown or has no meaning, or two fields contradict each other.
    """

    width: Channels = 48
    """Channels C of level 1; levels 2 and 3 have 2C and 4C (section 4.1: 48; small variant: 32)."""
    blocks: Annotated[tuple[Blocks, Blocks, Blocks], AllowLists] = (2, 3, 3)
    """Blocks at levels 1, 2 and 3 of every UNet (section 4.1)."""
    heads: Annotated[tuple[Heads, Heads, Heads], AllowLists] = (1, 2, 4)
    """Attention heads at levels 1, 2 and 3 (section 4.1)."""
    expansion: Annotated[float, Field(gt=0)] = 2.66
    """Hidden channels of the gated feed-forward layer over its input channels."""
    unets: Annotated[tuple[UNets, UNets, UNets], AllowLists] = (1, 2, 3)
    """UNets at the quarter, half and full scale; 0 drops a coarse scale.

    Table 4: M123 is (1, 2, 3), M222 (2, 2, 2), M321 (3, 2, 1), M023 (0, 2, 3).
    """
    fidelity: Literal["released", "paper"] = "released"
    """``"released"`` computes what the authors' code computes and loads their checkpoints;
    ``"paper"`` computes what the paper describes where the two differ."""
    norm: Literal["with_bias", "bias_free"] = "with_bias"
    """Layer normalisation with mean subtraction and bias, or without both."""
    inr: Literal["adjacent", "within", "none"] = "adjacent"
    """Where the implicit neural representation (INR) acts (Table 3): between adjacent scales,
    within each coarse scale, or nowhere."""
    inr_grid: Literal["multi", "fixed"] = "multi"
    """``"multi"``: one INR at every coarse scale; ``"fixed"``: only the coarsest one, queried on
    every finer grid (Table 3 (d))."""
    inr_encoding: bool = True
    """Positional encoding of the coordinates (Table 3 (e) switches it off)."""
    inr_interpolation: bool = True
    """Local ensemble of the four nearest codes (Table 3 (f): off); has no effect in "released"."""
    inr_encoder: Literal["shared", "separate"] = "shared"
    """``"shared"`` reads the scale's own latent; ``"separate"`` gives every INR an encoder of its
    own (Table 3 (g))."""
    inr_hidden: Channels = 256
    """Hidden units of the INR's layers (section 3.1)."""
    feedback: Literal["bfpu", "concat", "none"] = "bfpu"
    """The feedback unit (Table 5)."""
    backbone: Literal["transformer", "cnn"] = "transformer"
    """The blocks of the UNets: Transformer, or channel-attention CNN blocks (Table 6)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % 2:
            raise NerdrainError(f"width={self.width}: level 1 is halved; use an even width.")
        if not 1 <= self.expansion * self.width <= LARGEST:
            raise NerdrainError(
                f"expansion={self.expansion}: make its product with the width 1 to {LARGEST}."
            )
        for level, heads in enumerate(self.heads):
            if (self.width << level) % heads:
                raise NerdrainError(
                    f"heads={self.heads}: level {level + 1} has {self.width << level} channels, "
                    f"which {heads} heads cannot share equally."
                )
        quarter, half, full = self.unets
        if not full or (quarter and not half):
            raise NerdrainError(
                f"unets={self.unets}: keep the full scale, and drop scales from the coarsest on."
            )
        if self.inr == "within" and (self.inr_encoder, self.inr_grid) != ("separate", "multi"):
            raise NerdrainError(
                'inr="within" needs inr_encoder="separate" and inr_grid="multi": each scale has '
                "an INR of its own, which makes the scale's input (Table 3 (b))."
            )
        return self

    def with_changes(self, **changes: Any) -> NeRDRainConfig:
        """A copy with some fields changed, checked like a new one."""
        return NeRDRainConfig(**(self.model_dump() | changes))


PRESETS: dict[str, NeRDRainConfig] = {
    "nerd-rain": NeRDRainConfig(),
    "nerd-rain-s": NeRDRainConfig(width=32),
    "nerd-rain-tiny": NeRDRainConfig(
        width=16, blocks=(2, 1, 1), expansion=2.0, inr_hidden=32, fidelity="paper"
    ),
}
"""The paper's two networks (section 4.1) and our own small one for CPUs, notebooks and browsers."""
