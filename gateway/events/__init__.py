"""The values that pass between layers: what was published, where it lies in the log."""

from gateway.events.records import Flag, Origin, Record, RecordBatch, Run

__all__ = ["Flag", "Origin", "Record", "RecordBatch", "Run"]
