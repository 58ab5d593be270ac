"""Takes the reasons in words out of packets, so that a test can say the rest exactly."""

from __future__ import annotations

from dataclasses import replace


def without_reason(packet, reasons):
    """The packet as it would be without its reason string, which is added to `reasons`."""
    properties = getattr(packet, "properties", None)
    if properties is None or properties.reason_string is None:
        return packet
    reasons.append(properties.reason_string)
    return replace(packet, properties=properties._replace(reason_string=None))
