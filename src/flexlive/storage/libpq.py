"""A database address as the environment of PostgreSQL's own programs (psql, pg_dump, pg_basebackup …).

In the environment and not on the command line: any user of a machine can read the arguments of any process.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from flexlive.storage.errors import DatabaseSetupError

_VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "options": "PGOPTIONS",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
}


def environment(dsn: str) -> dict[str, str]:
    """The variables that make libpq connect where the URL dsn points. DatabaseSetupError for what it has none for."""
    parts = urlsplit(dsn)
    account, _, places = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    hosts, ports = _places(places)
    values = {
        "user": unquote(user),
        "password": unquote(password),
        "host": unquote(hosts),
        "port": ports,
        "dbname": unquote(parts.path.lstrip("/")),
    }
    # A parameter wins over the same thing said before it, as in libpq.
    values.update(parse_qsl(parts.query))
    unknown = sorted(values.keys() - _VARIABLES.keys())
    if unknown:
        raise DatabaseSetupError(f"the database URL says {', '.join(unknown)}, which has no variable to pass it on by")
    return {_VARIABLES[name]: value for name, value in values.items() if value}


def _places(text: str) -> tuple[str, str]:
    """`h1:5432,[::1]:5433` → `h1,::1` and `5432,5433`."""
    hosts: list[str] = []
    ports: list[str] = []
    for place in text.split(","):
        host, colon, port = place.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = place, ""
        hosts.append(host.strip("[]"))
        ports.append(port)
    return ",".join(hosts), ",".join(ports) if any(ports) else ""
