"""What this book adds to Sphinx: a table of credits, buttons that launch a chapter, mended markup.

The directive `photo-credits` lists the photographs' authors and licences. Buttons that lead to the
repository, to Colab and to Binder appear as soon as `_config.yml` names the repository's address.
What tools that read a page aloud would be told wrongly is mended after a page's text is written.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

import nerdrain

# What is written, and what goes there instead.
MENDED_MARKUP = {
    # Outdated, and no child that a list may have.
    'role="doc-biblioentry"': 'role="listitem"',
    # Hides the words that the summary shows, such as "Show the solution of exercise 1".
    '<summary aria-label="Toggle hidden content">': "<summary>",
    # The corner of a table, which heads nothing.
    '<th class="head"><p></p></th>': '<td class="head"></td>',
}

LICENCE_PAGES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "Public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
}


def link(text: str, address: str) -> nodes.Node:
    """Return a link, or plain text where there is no address."""
    if not address.startswith(("https://", "http://")):
        return nodes.Text(text)
    return nodes.reference("", text, refuri=address, internal=False)


def row(cells: list[nodes.Node]) -> nodes.row:
    """Return one row of a table, a paragraph per cell."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


class PhotoCredits(SphinxDirective):
    """A table of data/photos/index.csv: photograph, author, licence and what was changed."""

    def run(self) -> list[nodes.Node]:
        """Read the index and build the table."""
        index = Path(self.env.srcdir) / "data" / "photos" / "index.csv"
        self.env.note_dependency(str(index))
        with index.open(encoding="utf-8", newline="") as file:
            photos = sorted(csv.DictReader(file), key=lambda photo: photo["file"])
        titles = ["Photograph", "Author", "Licence", "Changes"]
        body = [
            row(
                [
                    link(Path(photo["file"]).stem, photo["source"]),
                    nodes.Text(photo["author"] or "unknown"),
                    link(photo["licence"], LICENCE_PAGES.get(photo["licence"], "")),
                    nodes.Text(photo["changes"]),
                ]
            )
            for photo in photos
        ]
        group = nodes.tgroup("", cols=len(titles))
        group += [nodes.colspec("", colwidth=width) for width in (30, 34, 18, 18)]
        group += nodes.thead("", row([nodes.Text(title) for title in titles]))
        group += nodes.tbody("", *body)
        return [nodes.table("", group, classes=["photo-credits"])]


def add_launch_buttons(app: Sphinx, config: Config) -> None:
    """Fill in the theme's options that follow from `repository_url`; without it, add nothing.

    A chapter is launched at the version that the page shows: the tag of the package's version,
    unless `repository_branch` names another. The chapter's first cell installs the same.
    """
    options = config.html_theme_options
    address = options.get("repository_url") or ""
    if not address:
        return
    options.setdefault("repository_branch", f"v{nerdrain.__version__}")
    options.setdefault("use_repository_button", True)
    options.setdefault("use_issues_button", "bitbucket" not in address)
    launch = options.setdefault("launch_buttons", {})
    launch.setdefault("notebook_interface", "jupyterlab")
    launch.setdefault("binderhub_url", "https://mybinder.org")
    if "github.com" in address:  # Colab opens notebooks from nowhere else
        launch.setdefault("colab_url", "https://colab.research.google.com")


def mend_markup(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Replace, in a page's text, the markup that misleads those who listen to it."""
    for written, mended in MENDED_MARKUP.items():
        context["body"] = context.get("body", "").replace(written, mended)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive, the buttons and the mending."""
    app.add_directive("photo-credits", PhotoCredits)
    app.connect("config-inited", add_launch_buttons)
    app.connect("html-page-context", mend_markup)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
