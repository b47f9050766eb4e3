"""The package's rooms: who imports whom, and how much one has to read."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "nerdrain"
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[0] != "_"
)

# Each imports only itself and what stands before it.
ORDER = (
    *("errors", "model", "files", "devices", "kernels", "data", "checkpoints", "evaluation"),
    *("inference", "plotting", "training", "course", "cli"),
)
LONGEST_FUNCTION = 40


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


def room(module: str) -> str:
    return module.split(".")[1]


def imports(tree: ast.AST) -> set[str]:
    """The package's modules that a piece of code imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "name the package in full"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name in MODULES or name == "nerdrain"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


GRAPH = {name: imports(tree(path)) - {name} for name, path in MODULES.items()}


def test_there_are_few_rooms() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert len(rooms) <= 10
    assert {room(name) for name in MODULES} == set(ORDER)
    assert rooms <= set(ORDER)


def test_a_module_imports_only_rooms_below_its_own() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others - {"nerdrain"}
        if ORDER.index(room(other)) > ORDER.index(room(name))
    ]
    assert wrong == []


def test_the_network_imports_nothing_but_errors() -> None:
    others = {o for name, found in GRAPH.items() if room(name) == "model" for o in found}
    assert {room(name) for name in others} == {"model", "errors"}


def test_nobody_imports_the_command_line() -> None:
    for name, others in GRAPH.items():
        if room(name) != "cli":
            assert not [other for other in others if other != "nerdrain" and room(other) == "cli"]


def test_there_is_no_cycle() -> None:
    """A package stands for its `__init__`, which an import of its modules runs first."""
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in finished:
            for other in GRAPH.get(name, ()):
                visit(other, (*path, name))
            finished.add(name)

    for name in GRAPH:
        visit(name, ())


def functions(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(module) if isinstance(node, kinds)]


def test_our_modules_are_imported_at_the_top() -> None:
    """But not by the command line, so that `--help` answers at once."""
    inside = [
        f"{name}: {function.name}"
        for name, path in MODULES.items()
        for function in functions(tree(path))
        if room(name) != "cli" and imports(function)
    ]
    assert inside == []


def statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, without its docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    long = {
        f"{name}: {function.name}": statements(function)
        for name, path in MODULES.items()
        for function in functions(tree(path))
        if statements(function) > LONGEST_FUNCTION
    }
    assert long == {}


@pytest.fixture(scope="module")
def counter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reading_path", ROOT / "tools/reading_path.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_the_network_is_read_in_one_sitting(counter: ModuleType) -> None:
    """`python tools/reading_path.py` prints the count."""
    lines, code = (sum(column) for column in zip(*counter.count().values(), strict=True))
    assert lines <= 1010
    assert code <= 590


def test_docstrings_and_comments_are_no_lines_of_code(counter: ModuleType) -> None:
    assert counter.code_lines('"""Text."""\n\n# why\nx = 1\n') == 1
    assert counter.code_lines('def f():\n    """Doc."""\n    return """a\nb"""\n') == 3
