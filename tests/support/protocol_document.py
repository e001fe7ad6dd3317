"""docs/driver-protocol.md and the frames in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROTOCOL: Final = (Path(__file__).parents[2] / "docs" / "driver-protocol.md").read_text()


def examples(direction: str) -> Iterator[str]:
    """The JSON values of the blocks marked with the direction; a block may hold several."""
    decoder = json.JSONDecoder()
    for block in re.findall(rf"^```json {direction}\n(.*?)^```$", PROTOCOL, re.MULTILINE | re.DOTALL):
        at = 0
        while at < len(block):
            _, end = decoder.raw_decode(block, at)
            yield block[at:end]
            at = end + len(block[end:]) - len(block[end:].lstrip())
