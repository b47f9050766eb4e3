"""Grade tests by the faulty versions that they catch (mutation testing)."""

from collections.abc import Callable, Sequence

from a5_render import (
    MODULES,
    PARTS,
    correct_versions,
    faulty_versions,
    given_module,
    hidden_modules,
)
from a5_witnesses import find_problems

from nerdrain.course.items import Answer, Call, Item, Verdict
from nerdrain.course.keys import Key, Variant

TESTS = "test_bugs.py"
POINTS = 5
PEAKS = (1.0, 2.0, 10.0, 100.0, 511.0, 1023.0, 4095.0, 65535.0)


def constants(variant: Variant) -> dict[str, float]:
    """The constants of the modules in a student's bundle."""
    return {
        "GAIN": round(variant.uniform("gain", 0.5, 2.0), 2),
        "SPAN": round(variant.uniform("span", 0.5, 3.0), 2),
        "BASE": round(variant.uniform("base", 1.5, 3.0), 2),
        "FLIP_AXIS": variant.integer("flip axis", 0, 1),
        "FLOOR": round(variant.uniform("floor", 0.02, 0.3), 3),
        "OFFSET": variant.integer("offset", 5, 40),
        "PEAK": variant.choice("peak", PEAKS),
    }


def all_constants(variant: Variant) -> dict[str, float]:
    """The same, with the peak of another range, which only faulty versions use."""
    return {**constants(variant), "OTHER_PEAK": 255.0}


def files(variant: Variant) -> dict[str, bytes]:
    """The given modules, for the bundle."""
    return {f"{module}.py": given_module(module, constants(variant)) for module in MODULES}


def items(variant: Variant) -> list[Item]:
    """One item for each module: two runs, each with faulty versions of half of its parts."""
    return [_item(module, variant) for module in MODULES]


def _item(module: str, variant: Variant) -> Item:
    """In each run, the other half of the module and all other modules are correct.

    The correct half, and in the first run the other modules too, are not as given.
    """
    parts = variant.generator(f"order {module}").permutation(MODULES[module]).tolist()
    faults = {part: variant.choice(f"fault {part}", faulty_versions(part)) for part in parts}
    groups = [parts[:2], parts[2:]]
    calls = []
    for number, group in enumerate(groups):
        others = parts if number else PARTS
        versions = {part: correct_versions(part)[-1] for part in others}
        versions |= {part: faults[part] for part in group}
        files = hidden_modules(versions, all_constants(variant))
        calls.append(Call(tests=TESTS, files=files))
    return Item(module, POINTS, calls, _judge(groups), tolerates_errors=True)


def _judge(groups: list[list[str]]) -> Callable[[Sequence[Answer]], Verdict]:
    """A judge of the runs, in each of which the parts of one group are faulty."""

    def judge(answers: Sequence[Answer]) -> Verdict:
        missed: list[str] = []
        problems = []
        for answer, group in zip(answers, groups, strict=True):
            failed = [] if answer.error is not None else answer.value["failed"]
            for name in failed:
                if part_of(name) not in group:
                    alarm = f"{name} fails although the part that it names is correct."
                    return Verdict(0.0, alarm)
            if (problem := _why_useless(answer)) is not None:
                problems.append(problem)
                failed = []
            missed += [part for part in group if part not in {part_of(name) for name in failed}]
        count = sum(len(group) for group in groups)
        if missed:
            names = ", ".join(sorted(missed))
            problems.append(f"{len(missed)} of {count} faulty versions were missed: of {names}.")
        return Verdict(1 - len(missed) / count, " ".join(dict.fromkeys(problems)))

    return judge


def _why_useless(answer: Answer) -> str | None:
    """Why a run proves nothing, or None."""
    if answer.error is not None:
        return answer.error
    if answer.value["errors"]:
        return "pytest reports errors outside the tests, so some tests could not run."
    if not answer.value["passed"] and not answer.value["failed"]:
        return "no test has run."
    return None


def part_of(test: str) -> str | None:
    """The part that a test names: `test_psnr` and `test_psnr_grows[3]` test `psnr`."""
    name = test.rpartition("::")[2].partition("[")[0]
    for part in PARTS:
        if name == f"test_{part}" or name.startswith(f"test_{part}_"):
            return part
    return None


def self_check() -> list[str]:
    """Sentences for versions that are not as they must be; empty if all are."""
    problems = []
    for student in ("first", "second", "third"):
        variant = Key.practice().variant("a5", student)
        problems += [f"{student}: {text}" for text in find_problems(all_constants(variant))]
    for part in PARTS:
        if len(correct_versions(part)) < 2 or len(faulty_versions(part)) < 2:
            problems.append(f"{part} needs another correct version and two faulty ones.")
    return problems
