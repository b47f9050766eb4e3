"""Containers of modules that say what they hold (`nn.ModuleList` itself promises only `Module`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, cast

from torch import nn

M = TypeVar("M")


def module_list(modules: Iterable[M]) -> Sequence[M]:
    """An `nn.ModuleList`, typed by what is in it."""
    return cast(Sequence[M], nn.ModuleList(cast(Iterable[nn.Module], modules)))


def module_dict(modules: Mapping[str, M]) -> Mapping[str, M]:
    """An `nn.ModuleDict`, typed by what is in it (it knows `in` and `[]`, but no `get`)."""
    return cast(Mapping[str, M], nn.ModuleDict(cast(Mapping[str, nn.Module], modules)))
