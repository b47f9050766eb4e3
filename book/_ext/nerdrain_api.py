"""The API reference: docstrings as pages, and the links between them and the chapters.

Single backticks in a docstring link to the object of that name, if a page documents it; otherwise
they are code. Every chapter ends with a link to the reference of its modules. The directive
`command-line` prints the options of every command, as the program defines them. The fields of a
pydantic model are listed with their types, defaults and ranges.
"""

from __future__ import annotations

import inspect
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

from docutils import nodes
from pydantic import BaseModel
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc import AttributeDocumenter, Documenter
from sphinx.roles import XRefRole
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

#: Chapter (a file of notebooks/) -> the pages of book/api/ with its modules, in the book's order.
CHAPTERS = {
    "rain": ("rain", "metrics"),
    "coordinates": ("coordinates",),
    "inr": ("inr",),
    "transformer": ("transformer",),
    "feedback": ("network",),
    "losses": ("losses",),
    "training": ("training",),
    "evaluation": ("inference", "metrics", "tables"),
    "fidelity": ("network", "checkpoints"),
    "speed": ("kernels", "support", "transformer"),
}
CODE = "nerdrain-code"


class CodeRole(XRefRole):
    """Code that links to the Python object of that name, if there is one."""

    def __init__(self) -> None:
        super().__init__(innernodeclass=nodes.literal)

    def process_link(
        self,
        env: BuildEnvironment,
        refnode: nodes.Element,
        has_explicit_title: bool,
        title: str,
        target: str,
    ) -> tuple[str, str]:
        """Make it a reference of the Python domain that may remain unresolved."""
        refnode["refdomain"], refnode["reftype"], refnode["kind"] = "py", "obj", CODE
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        return title, target.removesuffix("()")


def resolve_short_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.Element
) -> nodes.Element | None:
    """Resolve a name without its module, such as an error's; `CodeRole` falls back to code."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    tail = f".{node['reftarget']}"
    found = [name for name in domain.objects if name.endswith(tail)]
    if len(found) == 1 and re.fullmatch(r"[A-Za-z]\w{3,}(\.\w+)*", node["reftarget"]):
        node["reftarget"] = found[0]
        return domain.resolve_xref(
            env, node["refdoc"], app.builder, node["reftype"], found[0], node, text
        )
    return text if node.get("kind") == CODE else None


def is_settings(obj: Any) -> bool:
    """Whether it is a class of named, checked values: a pydantic model."""
    return isinstance(obj, type) and issubclass(obj, BaseModel)


class FieldDocumenter(AttributeDocumenter):
    """An attribute; for a field of a pydantic model with its plain type and its default."""

    @classmethod
    def is_field(cls, parent: Any, name: str) -> bool:
        """Whether it is a field of a pydantic model."""
        return is_settings(parent) and name in parent.model_fields

    def add_directive_header(self, sig: str) -> None:
        """Write the type without pydantic's checks, and the default from the model."""
        name = self.objpath[-1]
        if not self.is_field(self.parent, name):
            return super().add_directive_header(sig)
        Documenter.add_directive_header(self, sig)
        field = self.parent.model_fields[name]
        kind = stringify_annotation(remove_checks(field.annotation), "smart")
        self.add_line(f"   :type: {kind}", self.get_sourcename())
        if not field.is_required():
            default = field.get_default(call_default_factory=True)
            self.add_line(f"   :value: {default!r}", self.get_sourcename())

    def get_doc(self) -> list[list[str]] | None:
        """Its docstring, and the range of its values."""
        found = super().get_doc()
        if found and self.is_field(self.parent, self.objpath[-1]):
            schema = self.parent.model_json_schema()["properties"][self.objpath[-1]]
            lines = "\n".join(found[-1]).rstrip().split("\n")
            found[-1] = [*lines, describe_range(schema), ""]
        return found


def remove_checks(annotation: Any) -> Any:
    """A type without the `Annotated` that carry pydantic's checks, at any depth."""
    holder = type("Holder", (), {"__annotations__": {"field": annotation}})
    return get_type_hints(holder)["field"]


def describe_range(schema: dict[str, Any]) -> str:
    """The smallest and largest number that a JSON Schema allows, as a sentence; "" for none."""
    heading = "Range of each" if "prefixItems" in schema else "Range"
    schema = schema.get("prefixItems", [schema])[0]
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    limits = [
        f"{words} {limit:,}".removesuffix(".0")
        for words, limit in (
            ("at least", low),
            ("greater than", above),
            ("at most", high),
            ("less than", below),
        )
        if limit is not None
    ]
    return f"{heading}: {' and '.join(limits)}." if limits else ""


def show_parameters(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Show the parameters of a class that is made by a mixin, a protocol or pydantic."""
    if what != "class":
        return None
    if is_settings(obj):
        return "(**settings)", returns  # each field has an entry of its own
    if signature == "(*args, **kwargs)":
        parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
        shown = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        return f"({', '.join(shown)})" if shown else "", returns
    return None


def escape_docstring(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Before napoleon reads it: keep columns as text, asterisks as asterisks, colons as colons."""
    columns = [n for n, line in enumerate(lines) if re.match(r"\S+ {3,}\S", line)]
    if len(columns) > 1:
        lines[columns[0] : columns[-1] + 1] = [
            *(".. code-block:: text", ""),
            *(f"    {line}" for line in lines[columns[0] : columns[-1] + 1]),
        ]
    for number, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"(?<=\S)\*|(?<=\S\s)\*(?=\S)", r"\*", part) for part in parts[::2]]
        lines[number] = "".join(parts)
    if what in ("data", "attribute", "property"):
        lines[:0] = ["..", ""]  # a comment, or napoleon takes "word: text" for a type


def skip_members(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Skip a named tuple's fields, which its class describes, and pydantic's own settings."""
    alias = (getattr(obj, "__doc__", None) or "").startswith("Alias for field")
    return True if alias or name == "model_config" else None


def hide_foreign_bases(app: Sphinx, name: str, obj: Any, options: Any, bases: list[Any]) -> None:
    """Do not list bases that every class or every pydantic model has."""
    bases[:] = [base for base in bases if base not in (object, BaseModel)]


def remove_empty_bases(app: Sphinx, doctree: nodes.document) -> None:
    """Remove the line "Bases:" if no base is left."""
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if paragraph.astext().strip() == "Bases:":
            paragraph.parent.remove(paragraph)


def replace_parameter_lists(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write long signatures with spans: Sphinx makes lists of definitions that have no terms."""

    def replace(found: re.Match[str]) -> str:
        text = found[0]
        for tag, role in (("dl", "parameters"), ("dd", "parameter")):
            text = text.replace(f"<{tag}>", f'<span class="sig-{role}">')
            text = text.replace(f"</{tag}>", "</span>")
        return text

    body = context.get("body", "")
    context["body"] = re.sub(r"<dl>\s*<dd>.*?</dl>", replace, body, flags=re.DOTALL)


def link_to_reference(app: Sphinx, doctree: nodes.document) -> None:
    """Add links to the reference of its modules at the end of a chapter."""
    folder, _, stem = app.env.docname.rpartition("/")
    sections = [node for node in doctree.children if isinstance(node, nodes.section)]
    if folder != "notebooks" or stem not in CHAPTERS or not sections:
        return
    pages = [page for page in CHAPTERS[stem] if f"book/api/{page}" in app.env.found_docs]
    if not pages:  # only a few pages are built
        return
    paragraph = nodes.paragraph("", "The reference of this chapter's modules: ")
    for number, page in enumerate(pages):
        if number:
            paragraph += nodes.Text(", ")
        paragraph += addnodes.pending_xref(
            "",
            nodes.inline("", page),
            refdomain="std",
            reftype="doc",
            reftarget=f"/book/api/{page}",
            refexplicit=False,
            refwarn=True,
            refdoc=app.env.docname,
        )
    paragraph += nodes.Text(". From there, every name links to its source.")
    note = addnodes.seealso("", paragraph)
    last = sections[0]
    inner = [node for node in last.children if isinstance(node, nodes.section)]
    (inner[-1] if inner else last).append(note)


class CommandLine(SphinxDirective):
    """Every command of the program with its arguments and options."""

    def run(self) -> list[nodes.Node]:
        """Read the commands from typer."""
        import typer

        import nerdrain.cli

        for file in Path(nerdrain.cli.__file__).parent.glob("*.py"):
            self.env.note_dependency(str(file))
        result: list[nodes.Node] = []
        group = typer.main.get_command(nerdrain.cli.app)
        for name, command in list_commands(group):
            section = nodes.section(
                ids=[f"command-{name.replace(' ', '-')}"], names=[f"nerdrain {name}"]
            )
            section += nodes.title("", "", nodes.literal("", f"nerdrain {name}"))
            text, _, examples = inspect.cleandoc(command.help or "").partition("Example")
            for block in text.strip().split("\n\n"):
                section += nodes.paragraph("", "", *parse_code(block))
            lines = re.findall(r"`(nerdrain [^`]+)`", examples)
            if lines:
                text = "\n".join(lines)
                section += nodes.literal_block(text, text, language="sh")
            section += list_options(command)
            result.append(section)
        return result


def list_commands(group: Any) -> list[tuple[str, Any]]:
    """The commands of a group, and those of the groups in it, with their full names."""
    found = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += [(f"{name} {inner}", each) for inner, each in list_commands(command)]
        else:
            found.append((name, command))
    return found


def parse_code(text: str) -> list[nodes.Node]:
    """A text in which backticks are code."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    kinds = (nodes.Text, lambda part: nodes.literal("", part))
    return [kinds[n % 2](part) for n, part in enumerate(parts)]


def list_options(command: Any) -> nodes.definition_list:
    """The arguments and options of a command: name, kind, default and help."""
    entries = nodes.definition_list()
    for parameter in command.params:
        if parameter.name == "help":
            continue
        names = [parameter.metavar or parameter.name.upper()]
        if parameter.param_type_name == "option":
            names = sorted([*parameter.opts, *parameter.secondary_opts], key=len, reverse=True)
        term = nodes.term("", "", nodes.literal("", ", ".join(names)))
        note = []
        if parameter.param_type_name == "option" and parameter.metavar:
            note.append(parameter.metavar)
        if parameter.required:
            note.append("required")
        elif parameter.default not in (None, False, (), []):
            note.append(f"default {parameter.default}")
        if note:
            term += nodes.Text(f"  ({'; '.join(note)})")
        text = nodes.paragraph("", "", *parse_code(parameter.help or ""))
        entries += nodes.definition_list_item("", term, nodes.definition("", text))
    return entries


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role, the directive, the documenter and the hooks."""
    if find_spec("triton") is None:  # it exists only for Linux
        app.config.autodoc_mock_imports = ["triton"]
    app.add_role(CODE, CodeRole())
    app.add_directive("command-line", CommandLine)
    app.add_autodocumenter(FieldDocumenter, override=True)
    app.connect("missing-reference", resolve_short_name)
    app.connect("autodoc-process-signature", show_parameters)
    app.connect("autodoc-skip-member", skip_members)
    app.connect("autodoc-process-docstring", escape_docstring, priority=400)
    app.connect("autodoc-process-bases", hide_foreign_bases)
    app.connect("html-page-context", replace_parameter_lists)
    app.connect("doctree-read", remove_empty_bases)
    app.connect("doctree-read", link_to_reference)
    for field in PyObject.doc_field_types:  # Sphinx calls a class's attributes variables
        if field.name == "variable":
            field.label = "Attributes"
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
