"""What a failed statement means to those who may not know asyncpg: not reachable, or a named constraint said no."""

from __future__ import annotations

from typing import Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

_UNREACHABLE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
    # What a session says whose server was killed in the middle of an answer.
    asyncpg.InternalClientError,
    ConnectionError,
    TimeoutError,
)


def unreachable(error: BaseException) -> bool:
    """Whether the database did not answer in time or at all, so that asking again later may work."""
    if isinstance(error, asyncpg.InterfaceError):
        # A wrong argument is our mistake and would fail for ever; a closed connection or pool is not.
        return not isinstance(error, ValueError)
    return isinstance(error, _UNREACHABLE) or (isinstance(error, OSError) and error.errno is not None)


def violated_constraint(error: BaseException) -> str | None:
    """The name of the constraint that refused a row; None when it was something else."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return str(getattr(error, "constraint_name", ""))
    return None


def unstorable_text(error: BaseException) -> bool:
    """Whether a text held a character PostgreSQL cannot store (U+0000, a lone surrogate)."""
    return isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError)


def in_one_line(error: BaseException) -> str | None:
    """What a command says when its database (or the disk below it) said no; None for our own mistakes."""
    if unreachable(error):
        return f"the database cannot be reached: {_first_line(error)}"
    if isinstance(error, asyncpg.PostgresError):
        return f"the database refused: {_first_line(error)}"
    return None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
