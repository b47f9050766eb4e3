"""What a NeRD-Rain network is, as one frozen value: every ablation is a field, never a fork."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from operator import index
from typing import Any, Literal, get_args

from nerdrain.errors import NerdrainError

Fidelity = Literal["released", "paper"]
Norm = Literal["with_bias", "bias_free"]
INRPosition = Literal["adjacent", "within", "none"]
INRGrid = Literal["multi", "fixed"]
INREncoder = Literal["shared", "separate"]
Feedback = Literal["bfpu", "concat", "none"]
Backbone = Literal["transformer", "cnn"]

LARGEST = 2**16
"""Channels that no layer has more of; a typing error, most likely, and beyond any memory."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "fidelity": get_args(Fidelity),
    "norm": get_args(Norm),
    "inr": get_args(INRPosition),
    "inr_grid": get_args(INRGrid),
    "inr_encoder": get_args(INREncoder),
    "feedback": get_args(Feedback),
    "backbone": get_args(Backbone),
}


@dataclass(frozen=True)
class NeRDRainConfig:
    """The whole network as a value.

    Attributes:
        width: Channels C of level 1; levels 2 and 3 have 2C and 4C (section 4.1: 48, or 32 in the
            small variant).
        blocks: Blocks at levels 1, 2 and 3 of every UNet (section 4.1: 2, 3, 3).
        heads: Attention heads at levels 1, 2 and 3 (section 4.1: 1, 2, 4).
        expansion: Hidden channels of the gated feed-forward layer over its input channels.
        unets: Number of UNets at the quarter, half and full scale; 0 drops a coarse scale.
            Table 4: M123 is (1, 2, 3), M222 (2, 2, 2), M321 (3, 2, 1), M023 (0, 2, 3).
        fidelity: ``"released"`` computes what the authors' code computes and loads their
            checkpoints; ``"paper"`` computes what the paper describes where the two differ.
        norm: Layer normalisation with mean subtraction and bias, or without both.
        inr: Where the implicit neural representation (INR) acts (Table 3): between ``"adjacent"``
            branches, ``"within"`` each coarse branch, or ``"none"``.
        inr_grid: ``"multi"``: one INR at every coarse scale; ``"fixed"``: only the coarsest one,
            queried on every finer grid (Table 3 (d)).
        inr_encoding: Positional encoding of the coordinates (Table 3 (e) switches it off).
        inr_interpolation: Local ensemble of the four nearest codes (Table 3 (f): off).
        inr_encoder: ``"shared"`` reads the branch's own latent; ``"separate"`` gives every INR an
            encoder of its own (Table 3 (g)).
        inr_hidden: Hidden units of the INR's layers (section 3.1: 256).
        feedback: ``"bfpu"``, plain ``"concat"`` or ``"none"`` (Table 5).
        backbone: ``"transformer"``, or ``"cnn"``: channel-attention blocks (Table 6).

    Raises:
        NerdrainError: A field has no meaning, or two fields contradict each other.
    """

    width: int = 48
    blocks: tuple[int, int, int] = (2, 3, 3)
    heads: tuple[int, int, int] = (1, 2, 4)
    expansion: float = 2.66
    unets: tuple[int, int, int] = (1, 2, 3)
    fidelity: Fidelity = "released"
    norm: Norm = "with_bias"
    inr: INRPosition = "adjacent"
    inr_grid: INRGrid = "multi"
    inr_encoding: bool = True
    inr_interpolation: bool = True
    inr_encoder: INREncoder = "shared"
    inr_hidden: int = 256
    feedback: Feedback = "bfpu"
    backbone: Backbone = "transformer"

    def __post_init__(self) -> None:
        for name in ("blocks", "heads", "unets"):  # JSON has lists where Python has tuples
            given = getattr(self, name)
            try:
                value = tuple(index(v) for v in given)
            except TypeError:
                value = ()
            if len(value) != 3 or min(value) < (0 if name == "unets" else 1):
                raise NerdrainError(f"{name}={given!r}: give three counts, e.g. (1, 2, 3).")
            object.__setattr__(self, name, value)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise NerdrainError(
                    f"{name}={getattr(self, name)!r}: choose one of {', '.join(choices)}."
                )
        self._check_sizes()
        self._check_combinations()

    def _check_sizes(self) -> None:
        for name in ("width", "inr_hidden"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= LARGEST:
                raise NerdrainError(
                    f"{name}={value!r}: give a positive whole number, at most {LARGEST}."
                )
        for name in ("inr_encoding", "inr_interpolation"):
            if type(getattr(self, name)) is not bool:
                raise NerdrainError(f"{name}={getattr(self, name)!r}: give true or false.")
        if self.width % 2:
            raise NerdrainError(
                f"width={self.width}: level 1 is halved on the way down; use an even width."
            )
        if (
            type(self.expansion) not in (int, float)
            or not math.isfinite(self.expansion)
            or not 1 <= self.expansion * self.width <= LARGEST
        ):
            raise NerdrainError(
                f"expansion={self.expansion!r}: give a positive number, such as 2.66, that makes "
                f"1 to {LARGEST} channels of the width."
            )
        for level, heads in enumerate(self.heads):
            if (self.width << level) % heads:
                raise NerdrainError(
                    f"heads={self.heads}: level {level + 1} has {self.width << level} channels, "
                    f"which {heads} heads cannot share equally."
                )

    def _check_combinations(self) -> None:
        quarter, half, full = self.unets
        if not full or (quarter and not half):
            raise NerdrainError(
                f"unets={self.unets}: the full scale is always there, and scales are dropped "
                "from the coarsest on."
            )
        if self.inr == "within" and self.inr_encoder != "separate":
            raise NerdrainError(
                'inr="within" needs inr_encoder="separate": the branch cannot feed the INR that '
                "makes its own input (Table 3 (b))."
            )
        if self.inr == "within" and self.inr_grid == "fixed":
            raise NerdrainError('inr="within" has one INR in each branch: use inr_grid="multi".')

    def with_changes(self, **changes: Any) -> NeRDRainConfig:
        """A copy with some fields changed; a name that does not exist is a `NerdrainError`."""
        known = {f.name for f in fields(self)}
        if unknown := sorted(set(changes) - known):
            raise NerdrainError(
                f"No such configuration field: {', '.join(unknown)}; "
                f"the fields are {', '.join(sorted(known))}."
            )
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NeRDRainConfig:
        """The inverse of `to_dict`; a name that does not exist is a `NerdrainError`."""
        return cls().with_changes(**values)


PRESETS: dict[str, NeRDRainConfig] = {
    "nerd-rain": NeRDRainConfig(),
    "nerd-rain-s": NeRDRainConfig(width=32),
    "nerd-rain-tiny": NeRDRainConfig(width=12, blocks=(1, 1, 2), inr_hidden=48, fidelity="paper"),
}
"""The paper's two networks (section 4.1) and our own small one for CPUs, notebooks and browsers."""
