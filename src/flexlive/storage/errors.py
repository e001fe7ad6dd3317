"""What can be wrong with the database before any use case runs; the texts are for the operator who reads them."""

from __future__ import annotations


class DatabaseSetupError(Exception):
    """The database cannot be used as it is; str() says what to do about it."""


class DatabaseTooOldError(DatabaseSetupError):
    """The server speaks an older PostgreSQL than flexlive needs."""


class DatabaseNewerThanCodeError(DatabaseSetupError):
    """A later flexlive has migrated this database; this one must not touch it."""


class EmbeddedPostgresError(DatabaseSetupError):
    """PostgreSQL of our own could not be started or stopped."""


class DataDirectoryInUseError(EmbeddedPostgresError):
    """Another live process runs the embedded PostgreSQL of this data directory."""
