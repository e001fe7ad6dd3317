"""Request bodies of HTTP handlers: decoded by our own strict reader, described to OpenAPI by their struct."""

# ruff: noqa: ARG002, ARG003 - the signatures are Litestar's

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from litestar.dto import AbstractDTO, DTOFieldDefinition

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import json_body

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.openapi.spec import Reference, Schema
    from litestar.typing import FieldDefinition

T = TypeVar("T")

BODY_BYTES_MAX: Final = 64 * 1024
PROVISIONING_BYTES_MAX: Final = 1024 * 1024


class JsonBody(AbstractDTO[T]):
    """`dto=JsonBody[Struct]` on a handler whose `data` is that struct.

    Litestar's own conversion is lax ("5" passes as 5) and lets a RecursionError through; this one does neither.
    """

    def decode_bytes(self, value: bytes) -> T:
        return json_body.decode(self.model_type, value)

    def decode_builtins(self, value: dict[str, Any]) -> T:
        raise FlexliveError(ErrorCode.UNSUPPORTED, "send the body as application/json")

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: object = None
    ) -> None:
        """No transfer model: the struct is the model."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False
