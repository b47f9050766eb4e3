"""Counts the operations of the student's layer. It runs in the worker, so it can be deceived."""

import torch
from torch.utils.flop_counter import FlopCounterMode
from windows import WindowAttention


def count(channels: int, heads: int, height: int, width: int) -> int:
    """Multiply-adds of one image in the student's layer; the counter counts two operations each."""
    layer = WindowAttention(channels, heads)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(1, channels, height, width))
    return counter.get_total_flops() // 2
