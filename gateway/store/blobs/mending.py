"""References found again in the log, after damage may have cost some of those in the table."""

from __future__ import annotations

from gateway.errors import OffsetOutOfRange
from gateway.store.blobs.references import REFERENCES_TABLE, record_put, references_of
from gateway.store.protocol import Put, StreamStore
from gateway.store.scan import Scan

DAMAGE_TABLE = "damage"
MENDED_KEY = "mended"
"""Under it stands for how many reports of damage the log was read; no digest is called that."""

PUTS_AT_ONCE = 1_000


async def mend_references(store: StreamStore) -> int:
    """Read the log for references, if it was damaged since that was done last; returns how many.

    Each holds its blob until retention has passed what the log holds now.

    Raises:
        StoreUnavailable: the disk refused; it is begun again next time.
    """
    reports = str(len(await store.entries(DAMAGE_TABLE))).encode()
    if reports == (await store.entry(REFERENCES_TABLE, MENDED_KEY) or b"0"):
        return 0
    count = 0
    for spec in await store.streams():
        for partition in range(spec.partitions):
            count += await _mend_partition(store, spec.name, partition)
    await store.append([], [Put(REFERENCES_TABLE, MENDED_KEY, reports)])
    return count


async def _mend_partition(store: StreamStore, stream: str, partition: int) -> int:
    digests: set[str] = set()
    bounds = await store.bounds(stream, partition)
    key = stream, partition
    scan = Scan(store, {key: bounds.log_start_offset}, {key: bounds.log_end_offset})
    try:
        async for batch in scan.batches():
            for run in batch.runs:
                digests.update(reference.digest for reference in references_of(run))
    except OffsetOutOfRange:
        # Retention was faster; the next round begins anew.
        return 0
    puts = [record_put(digest, stream, partition) for digest in sorted(digests)]
    for start in range(0, len(puts), PUTS_AT_ONCE):
        await store.append([], puts[start : start + PUTS_AT_ONCE])
    return len(puts)
