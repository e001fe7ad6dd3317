"""The transcripts as the document shows them: one block each, between its marks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.golden.transcript import load, names, shown

_BLOCK: Final = re.compile(r"^```transcript (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def block(name: str) -> str:
    """What stands in the document for this transcript, without the fences."""
    return "".join(f"{text}\n" for line in load(name) if (text := shown(line)) is not None)


def blocks(document: str) -> dict[str, str]:
    return dict(_BLOCK.findall(document))


def update(path: Path) -> None:
    """Bring the blocks of the document up to date; which transcripts it shows is its own choice."""
    recorded = set(names())

    def fresh(found: re.Match[str]) -> str:
        name = found[1]
        return f"```transcript {name}\n{block(name) if name in recorded else found[2]}```"

    path.write_text(_BLOCK.sub(fresh, path.read_text()))
