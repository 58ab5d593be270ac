"""People's own functions: what they see of an event, and how each runs in a process of its own."""

from gateway.functions.calling import FunctionNotFound, Loaded, load_function
from gateway.functions.events import Event, Publish
from gateway.functions.frames import FRAME_BYTES_MAX, encode_frame
from gateway.functions.spec import NEVER_LIMITED, FunctionSpec

__all__ = [
    "FRAME_BYTES_MAX",
    "NEVER_LIMITED",
    "Event",
    "FunctionNotFound",
    "FunctionSpec",
    "Loaded",
    "Publish",
    "encode_frame",
    "load_function",
]
