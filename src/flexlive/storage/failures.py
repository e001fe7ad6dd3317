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
