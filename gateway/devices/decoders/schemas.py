"""Payloads held against a JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

from gateway.errors import PenstockError

Check = Callable[[Any], str]
"""Says what is wrong with a value; the empty text when it is as the schema wants it."""

REMOTE = ("http", "https", "file", "ftp", "")
# The library says what is wrong with a schema by failing on it: JsonSchemaDefinitionException is a
# ValueError, and so is a wrong pattern in effect.
SCHEMA_FAILURES = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    OSError,
    re.error,
)


class SchemaInvalid(PenstockError):
    """A JSON Schema can't be used; the text says why."""


def schema_check(schema: Any) -> Check:
    """Compile a JSON Schema (drafts 4, 6 and 7).

    Raises:
        SchemaInvalid: it is no JSON Schema, refers to another document, or the library is missing.
    """
    try:
        import fastjsonschema
    except ImportError:
        raise SchemaInvalid(
            "a schema needs the extra 'schema': pip install penstock[schema]"
        ) from None
    try:
        validate = fastjsonschema.compile(
            schema, handlers=dict.fromkeys(REMOTE, _refuse), use_default=False
        )
    except SCHEMA_FAILURES as error:
        raise SchemaInvalid(f"is no JSON Schema: {type(error).__name__}: {error}") from error

    def check(value: Any) -> str:
        try:
            validate(value)
        except fastjsonschema.JsonSchemaException as error:
            return str(error).replace("data", "payload", 1)
        except (RecursionError, ArithmeticError, ValueError, TypeError) as error:
            return f"can't be held against the schema: {error}"
        return ""

    return check


def _refuse(uri: str) -> NoReturn:
    raise SchemaInvalid(f"refers to '{uri}'; a schema stands for itself")
