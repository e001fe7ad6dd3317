"""What an app reads and gives: every frame and body of `flexlive.v1`, and what the client itself adds to them."""

from __future__ import annotations

from typing import TypeAlias, cast, get_args

from flexlive.client.outbox import LateAnswer
from flexlive.protocol.driver import *  # noqa: F403
from flexlive.protocol.driver import FactMessage, ServerMessage, Skip, Snapshot, StateMessage

Message: TypeAlias = FactMessage | StateMessage | Snapshot | LateAnswer
_FACTS = tuple(kind for kind in get_args(FactMessage) if kind is not Skip)
_OTHERS = (*get_args(StateMessage), Snapshot)


def for_the_app(message: ServerMessage) -> Message | None:
    """The message, unless it only concerns the session."""
    return cast("Message", message) if isinstance(message, _FACTS + _OTHERS) else None
