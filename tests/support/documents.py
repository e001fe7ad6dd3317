"""Commands that a document tells readers to type, taken out of it to be run."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def block(document: str, title: str) -> str:
    """The shell block of docs/<document> that is marked with the title."""
    found = re.findall(rf"^```sh {re.escape(title)}\n(.*?)^```$", (DOCS / document).read_text(), re.M | re.S)
    assert len(found) == 1, f"{document} has {len(found)} blocks called {title!r}"
    return found[0]
