"""Make the README of the packages: its links lead to the source's pages, since its readers have no source tree.

hatchling runs this when it builds a package (`[tool.hatch.metadata.hooks.custom]` in pyproject.toml).
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ReadmeHook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme`. `metadata` is the table `project`."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_absolute_links(text, metadata["urls"]["Source"]),
        }


def with_absolute_links(text: str, source: str) -> str:
    """Return a Markdown text whose relative links start at `source`."""
    return re.sub(r"\]\((?!https?:|#)([^)]+)\)", rf"]({source}/\1)", text)
