"""The only reader of FLEXLIVE_*: one frozen value, composed of the option structs that lower packages declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from flexlive.domain.logins import LoginOptions
from flexlive.storage.group_commit import GroupCommitOptions
from flexlive.storage.pool import PoolOptions
from flexlive.storage.upload_store import UploadOptions
from flexlive.web import basemap
from flexlive.web.driver_socket import GatewayOptions
from flexlive.web.limits import HttpOptions
from flexlive.web.listening import ListenOptions
from flexlive.workers.dispatcher import DispatcherOptions
from flexlive.workers.location_writer import LocationWriterOptions
from flexlive.workers.notice_writer import NoticeWriterOptions
from flexlive.workers.relay import RelayOptions
from flexlive.workers.sweeper import SweeperOptions
from flexlive.workers.watch import WatchOptions

PREFIX = "FLEXLIVE_"
_NOT_SETTINGS = ("FLEXLIVE_TEST_", "FLEXLIVE_REQUIRE_BROWSER")
_PATHS = frozenset({"data_dir", "upload_dir"})


class SettingsError(Exception):
    """A variable is unknown or cannot be read; str() names it and says what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One server process. Each scalar field is the variable FLEXLIVE_<NAME>; the option groups keep their defaults.

    database_url: any PostgreSQL 15–18; None means an embedded one below data_dir.
    time_scale: divides policy durations and multiplies plausible speed; 1 in production.
    public_url: what tracking links begin with; None means http://host:port.
    upload_dir: where bytes that drivers send are kept; None means uploads/ below data_dir.
    code_sender: how login codes travel: console, none, or the URL of a gateway that is POSTed each.
    basemap: what lies under the customer's map: URL of a MapLibre style, or path of a .pmtiles file.
    """

    database_url: str | None = None
    data_dir: Path = Path(".flexlive")
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    public_url: str | None = None
    upload_dir: Path | None = None
    code_sender: Annotated[str, Meta(pattern=r"^(console|none|https?://[^\s/]+\S*)(?![\s\S])")] = "console"
    time_scale: Annotated[float, Meta(gt=0, le=10_000)] = 1.0
    basemap: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    pool: PoolOptions = field(default_factory=PoolOptions)
    relay_pool: PoolOptions = field(default_factory=lambda: PoolOptions(min_size=1, max_size=3))
    group_commit: GroupCommitOptions = field(default_factory=GroupCommitOptions)
    gateway: GatewayOptions = field(default_factory=GatewayOptions)
    listening: ListenOptions = field(default_factory=ListenOptions)
    http: HttpOptions = field(default_factory=HttpOptions)
    login: LoginOptions = field(default_factory=LoginOptions)
    uploads: UploadOptions = field(default_factory=UploadOptions)
    relay: RelayOptions = field(default_factory=RelayOptions)
    dispatcher: DispatcherOptions = field(default_factory=DispatcherOptions)
    location_writer: LocationWriterOptions = field(default_factory=LocationWriterOptions)
    notice_writer: NoticeWriterOptions = field(default_factory=NoticeWriterOptions)
    sweeper: SweeperOptions = field(default_factory=SweeperOptions)
    watch: WatchOptions = field(default_factory=WatchOptions)

    @property
    def upload_root(self) -> Path:
        return self.upload_dir or self.data_dir / "uploads"

    @property
    def url(self) -> str:
        """Where the world reaches this server, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def variables() -> dict[str, str]:
    """Every variable that is read, with its field name."""
    return {PREFIX + name.upper(): name for name in _scalar_names()}


def load(environ: Mapping[str, str], **overrides: Any) -> Settings:
    """Settings from variables; overrides (not None) win. Raises SettingsError."""
    known = variables()
    values: dict[str, Any] = {}
    hints = get_type_hints(Settings, include_extras=True)
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(_NOT_SETTINGS):
            continue
        name = known.get(variable)
        if name is None:
            raise SettingsError(f"{variable} is not a setting; known: {', '.join(sorted(known))}")
        try:
            values[name] = Path(text) if name in _PATHS else msgspec.convert(text, hints[name], strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{variable}={text!r}: {error}") from None
    values.update({name: value for name, value in overrides.items() if value is not None})
    try:
        basemap.parse(values.get("basemap"))
    except ValueError as error:
        raise SettingsError(f"{PREFIX}BASEMAP={values['basemap']!r}: {error}") from None
    return Settings(**values)


def _scalar_names() -> list[str]:
    return [f.name for f in fields(Settings) if f.default is not MISSING]
