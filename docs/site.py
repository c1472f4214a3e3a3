"""The site's one addition: files outside docs/ that pages link to, as on GitHub, are in it, too, below `repo/`."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
OUT = re.compile(r"\]\(\.\./([^)#\s]+)")  # a link or picture that leads from docs/ to the repository


def on_files(files: Any, config: Any) -> Any:
    """Add each file that a page links to."""
    from mkdocs.structure.files import File

    linked = {name for page in files.documentation_pages() for name in OUT.findall(page.content_string)}
    for name in sorted(linked):
        if not (ROOT / name).is_file():
            raise FileNotFoundError(f"a page links to ../{name}, which is no file of the repository")
        files.append(File.generated(config, f"repo/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let the links lead there."""
    return OUT.sub(r"](repo/\1", markdown)
