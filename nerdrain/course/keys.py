"""The lecturer's key, and the variant of an assignment that follows from it for each student.

All constants, seeds and hidden inputs of a variant come from HMAC-SHA256 of the key, the
assignment, the student and a purpose. So a person without the key cannot compute them.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from nerdrain.errors import NerdrainError
from nerdrain.files import write_atomically

T = TypeVar("T")

PREFIX = "nerdrain-course-key-1:"
"""Beginning of a file with a key, so that no other file is taken for one."""
BYTES = 32
"""Length of a key."""
PRACTICE = b"the published practice key of the course"
"""Secret of the practice key. Everybody can compute its variants."""


@dataclass(frozen=True)
class Variant:
    """The values that one student gets in one assignment. Equal purposes give equal values.

    Args:
        assignment: id of the assignment, such as "a2".
        student: id of the student.
        secret: bytes from which everything follows; never shown.
    """

    assignment: str
    student: str
    secret: bytes = field(repr=False)

    def integer(self, purpose: str, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return low + int.from_bytes(self._digest(purpose)) % (high - low + 1)

    def uniform(self, purpose: str, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        return low + (high - low) * (int.from_bytes(self._digest(purpose)[:6]) / 2**48)

    def choice(self, purpose: str, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(purpose, 0, len(options) - 1)]

    def generator(self, purpose: str) -> np.random.Generator:
        """A new generator of random numbers, for hidden inputs."""
        return np.random.default_rng(int.from_bytes(self._digest(purpose)))

    def _digest(self, purpose: str) -> bytes:
        return hmac.digest(self.secret, purpose.encode(), hashlib.sha256)


@dataclass(frozen=True)
class Key:
    """A lecturer's key.

    Args:
        secret: the secret bytes; never shown.
    """

    secret: bytes = field(repr=False)

    @classmethod
    def practice(cls) -> Self:
        """The published key, with which everything can be tried."""
        return cls(PRACTICE)

    @classmethod
    def new(cls) -> Self:
        """A new random key."""
        return cls(secrets.token_bytes(BYTES))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key from a file.

        Raises:
            NerdrainError: The file does not exist or holds no key.
        """
        try:
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise NerdrainError(f"{path}: there is no key; make one with new-key.") from None
        try:
            secret = bytes.fromhex(text.removeprefix(PREFIX))
        except ValueError:
            secret = b""
        if not text.startswith(PREFIX) or len(secret) != BYTES:
            raise NerdrainError(f"{path} holds no key; make one with new-key.")
        return cls(secret)

    def write(self, path: Path) -> None:
        """Write the key to a new file that only its owner can read.

        Raises:
            NerdrainError: The file exists or cannot be written.
        """
        write_atomically(path, f"{PREFIX}{self.secret.hex()}\n".encode(), overwrite=False)
        path.chmod(0o600)

    @property
    def is_practice(self) -> bool:
        """Whether this is the published practice key."""
        return self.secret == PRACTICE

    @property
    def name(self) -> str:
        """How reports name the key: eight digits from which it cannot be found."""
        if self.is_practice:
            return "the published practice key"
        return f"key {hmac.digest(self.secret, b'name', hashlib.sha256).hex()[:8]}"

    def variant(self, assignment: str, student: str) -> Variant:
        """The variant of an assignment for a student."""
        message = f"{assignment}\0{student}".encode()
        return Variant(assignment, student, hmac.digest(self.secret, message, hashlib.sha256))
