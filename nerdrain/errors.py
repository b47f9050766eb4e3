"""Messages for the user: one type of error, one of warning, and settings that check themselves."""

import difflib
import re
import reprlib
import signal
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class NerdrainError(ValueError):
    """Bad input, in one sentence that says what is wrong and how to fix it."""


class ImageWarning(UserWarning):
    """A file holds more than is read from it, such as further frames."""


class ChecksumWarning(UserWarning):
    """A file has no checksum, so damage to it cannot be noticed."""


class Stopped(NerdrainError):
    """A training run was asked to stop, and has saved.

    Args:
        message: The sentence for the user.
        number: The signal that asked, such as SIGINT (2) for Ctrl-C.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.number = int(number)


class Settings(BaseModel):
    """Named values that are checked when they are made and do not change afterwards.

    Raises:
        NerdrainError: A name is unknown, or a value has the wrong type or range.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise NerdrainError(explain(error, list(type(self).model_fields))) from None


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean X" with the known name that is most like `name`, or an empty text."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"did you mean {near[0]}" if near else ""


def explain(error: ValidationError, known: list[str]) -> str:
    """One complaint of pydantic as a sentence; for an unknown name it suggests the nearest."""
    found = error.errors(include_url=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    name = name.removeprefix(".")
    if first["type"] == "extra_forbidden":
        hint = suggest(name, known) or f"the settings are {', '.join(known)}"
        return f"there is no setting {abbreviate(name)[1:-1]}; {hint}."
    if first["type"] == "value_error":  # raised by a check of ours
        text = str(first["ctx"]["error"])
        return f"{name}: {text}" if name else text
    if first["type"] == "missing":
        return f"{name} is missing."
    message = re.sub("^(Input|Tuple) should", "it should", first["msg"])
    message = message.replace("a valid tuple", "a list").replace(" after validation", "")
    message = re.sub("a valid dictionary.*", "a mapping of keys to values", message)
    return f"{name}={abbreviate(first['input'])}: {message}."


def abbreviate(value: object) -> str:
    """A value as it is written in Python, in at most 80 characters."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "(a very large number)"
    return text if len(text) <= 80 else f"{text[:77]}..."


def shorten(text: str, most: int = 80) -> str:
    """Text of a file for a message: one line of printable characters, at most `most` of them."""
    line = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return line if len(line) <= most else f"{line[: most - 3]}..."
