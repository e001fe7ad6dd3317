"""Composition root: the HTTP application around one runtime."""

from __future__ import annotations

from litestar import Litestar

