"""Damage a file in the ways that disks, networks and attackers do; the seed decides everything."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

NUMBERS = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
"""Values that often break the code that reads a field."""

Mutator = Callable[[random.Random, bytearray], None]


def mutate(rng: random.Random, content: bytes, tokens: Sequence[bytes] = ()) -> bytes:
    """A copy of `content`, changed in one to three places.

    Args:
        rng: Chooses the changes.
        content: A file.
        tokens: Bytes that have a meaning in files of this kind; some are inserted.
    """
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if tokens and rng.random() < 0.5:
            at = position(rng, changed)
            changed[at:at] = rng.choice(tokens)
        else:
            rng.choice(MUTATORS)(rng, changed)
    return bytes(changed)


def position(rng: random.Random, content: bytearray) -> int:
    """A place in a file; half of the time near its start or its end, where headers are."""
    size = len(content)
    near = min(size, 4096)
    choice = rng.choice(("start", "end", "anywhere", "anywhere"))
    start, stop = {"start": (0, near), "end": (size - near, size)}.get(choice, (0, size))
    return rng.randint(start, stop)


def flip_bits(rng: random.Random, content: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        if content:
            content[min(position(rng, content), len(content) - 1)] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, content: bytearray) -> None:
    at, size = position(rng, content), rng.choice((1, 4, 64, 4096))
    run = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    content[at : at + size] = run[: max(0, len(content) - at)]


def truncate(rng: random.Random, content: bytearray) -> None:
    del content[position(rng, content) :]


def remove(rng: random.Random, content: bytearray) -> None:
    at = position(rng, content)
    del content[at : at + rng.choice((1, 4, 64, 4096))]


def insert(rng: random.Random, content: bytearray) -> None:
    at = position(rng, content)
    content[at:at] = rng.randbytes(rng.choice((1, 4, 64, 4096)))


def splice(rng: random.Random, content: bytearray) -> None:
    """Copy a run of the file to another place, over what is there or in front of it."""
    source, at = position(rng, content), position(rng, content)
    run = content[source : source + rng.choice((1, 8, 64, 4096))]
    content[at : at + rng.choice((0, len(run)))] = run


def edit_field(rng: random.Random, content: bytearray) -> None:
    """Replace a binary number."""
    at, size = position(rng, content), rng.choice((1, 2, 4, 8))
    value = (rng.choice(NUMBERS) % 2 ** (8 * size)).to_bytes(size, rng.choice(("little", "big")))
    content[at : at + size] = value[: max(0, len(content) - at)]


def edit_digits(rng: random.Random, content: bytearray) -> None:
    """Replace a number that is written as text."""
    at = position(rng, content)
    if digits := re.compile(rb"[0-9]+").search(content, at, at + 4096):
        text = str(rng.choice((*NUMBERS, -1, 1e300, "9" * 5000, rng.randrange(1000))))
        content[digits.start() : digits.end()] = text.encode()


MUTATORS: tuple[Mutator, ...] = (
    *(flip_bits, overwrite, truncate, remove, insert, splice),
    *(edit_field, edit_digits),
)
