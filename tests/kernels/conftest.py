"""Compare float32 kernels with float32 convolutions: without TF32, which GPUs use by default."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def exact_float32() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before
