"""The site's pages from outside of docs/: the READMEs of other folders stay where they are, and become pages too.

A link in Markdown is written once, as the repository has it (`../recipes/README.md`), so that it works on the repository's own pages. Here
each is turned into the link between the two pages of the site. A link to a file of the repository that is no page stays as it is, and the
strict build refuses it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# file of the repository -> page of the site
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "devices/README.md": "devices/README.md",
    "latency_tables/README.md": "latency_tables/README.md",
    "recipes/README.md": "recipes/README.md",
    "runners/README.md": "runners/README.md",
}
LINK = re.compile(r"(\]\()([^)#\s:]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside."""
    root = Path(config.docs_dir).parent
    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its links rewritten."""
    return rewrite_links(markdown, page.file.src_uri)


def rewrite_links(markdown: str, page: str) -> str:
    """Return Markdown of a page with its links between files of the repository as links between pages."""
    home = {name: path for path, name in OUTSIDE.items()}.get(page, f"docs/{page}")

    def rewrite(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(home), link[2]))
        linked_page = OUTSIDE.get(target)
        if linked_page is None and target.startswith("docs/"):
            linked_page = target.removeprefix("docs/")
        return link[1] + (
            link[2] if linked_page is None else posixpath.relpath(linked_page, posixpath.dirname(page) or ".")
        )

    return LINK.sub(rewrite, markdown)
