"""YAML files that people write, read with the position of every value."""

from gateway.documents.reader import open_document, parse_document, read_document, read_text
from gateway.documents.scalars import Scalar, parse_duration_ms, parse_size_bytes
from gateway.documents.section import Section
from gateway.documents.spelling import did_you_mean
from gateway.documents.tree import Node

__all__ = [
    "Node",
    "Scalar",
    "Section",
    "did_you_mean",
    "open_document",
    "parse_document",
    "parse_duration_ms",
    "parse_size_bytes",
    "read_document",
    "read_text",
]
