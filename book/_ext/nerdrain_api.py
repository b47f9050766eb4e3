"""The API reference: docstrings as pages, and the links between them and the chapters.

Single backticks in a docstring link to the object of that name, where a page documents one, and
stay code where none does. Every chapter ends with a link to the reference of its modules; the
directive `command-line` prints the options of every command from the program itself.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole
from sphinx.util.docutils import SphinxDirective

#: Chapter (a file of notebooks/), numbered from 0 -> the pages of book/api/ with its modules.
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
}
CODE = "nerdrain-code"


class CodeRole(XRefRole):
    """Looks like code, and links to the Python object of that name where there is one."""

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
        """Make it a reference of the Python domain that may stay unresolved."""
        refnode["refdomain"], refnode["reftype"], refnode["kind"] = "py", "obj", CODE
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        return title, target.removesuffix("()")


def find_by_short_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.Element
) -> nodes.Element | None:
    """Resolve a name without its module, such as an error's; what a role left open stays code."""
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


def true_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """The hub's mixin hides what `__init__` takes; a protocol takes nothing."""
    if what == "class" and signature == "(*args, **kwargs)":
        parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
        shown = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        return f"({', '.join(shown)})" if shown else "", returns
    return None


def as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Before napoleon: columns stay columns, an asterisk is one, a constant's colon no type."""
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
        lines[:0] = ["..", ""]  # a comment, which napoleon takes for the line with the type


def skip_fields(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Fields of a named tuple are described by its class; "Alias for field number" says less."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field") else None


def drop_object(app: Sphinx, name: str, obj: Any, options: Any, bases: list[Any]) -> None:
    """That a class derives from `object` says nothing; `tidy` takes away what is then empty."""
    bases[:] = [base for base in bases if base is not object]


def tidy(app: Sphinx, doctree: nodes.document) -> None:
    """Remove "Bases:" without bases."""
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if paragraph.astext().strip() == "Bases:":
            paragraph.parent.remove(paragraph)


def mend_signatures(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Parameters, one a line, are written as a list of definitions without terms: no such list."""

    def mended(found: re.Match[str]) -> str:
        text = found[0]
        for tag, role in (("dl", "parameters"), ("dd", "parameter")):
            text = text.replace(f"<{tag}>", f'<span class="sig-{role}">')
            text = text.replace(f"</{tag}>", "</span>")
        return text

    body = context.get("body", "")
    context["body"] = re.sub(r"<dl>\s*<dd>.*?</dl>", mended, body, flags=re.DOTALL)


def link_to_reference(app: Sphinx, doctree: nodes.document) -> None:
    """End a chapter with links to the reference of its modules."""
    folder, _, stem = app.env.docname.rpartition("/")
    sections = [node for node in doctree.children if isinstance(node, nodes.section)]
    if folder != "notebooks" or stem not in CHAPTERS or not sections:
        return
    pages = [page for page in CHAPTERS[stem] if f"book/api/{page}" in app.env.found_docs]
    if not pages:  # a build of a few pages alone
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
    """A table of every command's arguments and options, as the program defines them."""

    def run(self) -> list[nodes.Node]:
        """Ask typer."""
        import typer

        import nerdrain.cli

        self.env.note_dependency(str(Path(nerdrain.cli.__file__)))
        result: list[nodes.Node] = []
        group = typer.main.get_command(nerdrain.cli.app)
        for name, command in group.commands.items():
            section = nodes.section(ids=[f"command-{name}"], names=[f"nerdrain {name}"])
            section += nodes.title("", "", nodes.literal("", f"nerdrain {name}"))
            text, _, examples = inspect.cleandoc(command.help or "").partition("Example")
            for block in text.strip().split("\n\n"):
                section += self.parsed(block)
            lines = re.findall(r"`(nerdrain [^`]+)`", examples)
            if lines:
                text = "\n".join(lines)
                section += nodes.literal_block(text, text, language="sh")
            section += options(command)
            result.append(section)
        return result

    def parsed(self, text: str) -> nodes.paragraph:
        """A paragraph in which backticks are code."""
        parts = re.split(r"`([^`]+)`", " ".join(text.split()))
        kinds = (nodes.Text, lambda part: nodes.literal("", part))
        return nodes.paragraph("", "", *(kinds[n % 2](part) for n, part in enumerate(parts)))


def options(command: Any) -> nodes.definition_list:
    """What a command takes: its name, kind and default, and what it is for."""
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
        what = nodes.definition("", nodes.paragraph("", parameter.help or ""))
        entries += nodes.definition_list_item("", term, what)
    return entries


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role, the directive and the hooks."""
    app.add_role(CODE, CodeRole())
    app.add_directive("command-line", CommandLine)
    app.connect("missing-reference", find_by_short_name)
    app.connect("autodoc-process-signature", true_signature)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", as_written, priority=400)
    app.connect("autodoc-process-bases", drop_object)
    app.connect("html-page-context", mend_signatures)
    app.connect("doctree-read", tidy)
    app.connect("doctree-read", link_to_reference)
    for field in PyObject.doc_field_types:  # Sphinx calls a class's attributes variables
        if field.name == "variable":
            field.label = "Attributes"
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
