"""Reads the section `devices:`: how topics name devices, and where their profiles lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.devices import TopicTemplate, TopicTemplateInvalid
from gateway.documents import Section


def read_devices(top: Section, base: Path) -> dict[str, Any]:
    """The options of the gateway that the section sets; paths are relative to `base`."""
    section = top.section("devices")
    if section is None:
        return {}
    found: dict[str, Any] = {}
    nodes = section.text_nodes("topics")
    for node in nodes:
        try:
            TopicTemplate(node.source)
        except TopicTemplateInvalid as error:
            section.complain_at(node, str(error))
    if "topics" in section:
        found["device_topics"] = tuple(node.source for node in nodes)
    if section.get("profiles") is not None:
        text = section.text("profiles", ".")
        if not text or "\0" in text:
            section.complain("'profiles' must be a path", "profiles")
        found["profiles_path"] = base / text
    section.finish()
    return found
