"""YAML in which nothing is passed over: plain YAML takes the last of two equal keys, silently."""

from pathlib import Path
from typing import Any

import yaml

from nerdrain.errors import NerdrainError


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is there twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """What a YAML text says; nothing in it is run.

    Raises:
        ValueError: it is not YAML, or has a key twice; with the line where that is known.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{where}{error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def read_mapping(path: Path, which: str = "") -> dict[str, Any]:
    """The keys and values of a recipe's file, at least one.

    Args:
        path: The file.
        which: Begins the sentence of an error.

    Raises:
        NerdrainError: it cannot be read, or is something else.
    """
    values, why = None, ""
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = f" ({error})"
    if not isinstance(values, dict) or not values:
        raise NerdrainError(
            f"{which}not a recipe; write `key: value` lines, as in `recipes/`{why}."
        )
    return values
