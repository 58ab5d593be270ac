"""The runner of jobs: so many devices a second, from where a job stood when the gateway stopped.

Theory of operation. A job sees to its devices in the order of their ids, some in a commit; what is
done to them and how far it has come is that one commit. So a job that is cut off by a crash begins
again just behind the last device that it has seen to, and does nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from gateway.devices import (
    DEVICES_TABLE,
    JOBS_KEPT_MAX,
    JOBS_RUNNING_MAX,
    JOBS_TABLE,
    DeviceInvalid,
    Job,
    JobRefused,
    JobWish,
    Query,
    advanced,
    decode_device,
    decode_job,
    encode_job,
    finished,
)
from gateway.errors import PenstockError, StoreError, StoreUnavailable
from gateway.pipeline.devices.loop import ServiceLoop
from gateway.pipeline.devices.turns import RETRY_S, Turn
from gateway.store import StreamStore

STEPS_PER_S = 10
DEVICES_IN_A_STEP_MAX = 200
DEVICES_AT_ONCE = 500

Deed = Callable[[str, JobWish, Turn], Awaitable[object]]
"""What is done to one device in a turn; it refuses by raising before it has said anything."""


class JobRunner:
    """Runs jobs until it is cancelled, each at its own pace."""

    def __init__(
        self,
        store: StreamStore,
        now_ms: Callable[[], int],
        deeds: Mapping[str, tuple[ServiceLoop, Deed]],
    ) -> None:
        """Do each kind of job by its deed, in the turns of its loop."""
        self._store = store
        self._now_ms = now_ms
        self._deeds = deeds
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._is_open = asyncio.Event()
        self._starting = asyncio.Lock()

    async def run(self) -> None:
        """Go on with the jobs that the last stop has cut off, and with new ones."""
        try:
            for _, encoded in await self._entries(JOBS_TABLE):
                job = decode_job(encoded)
                if job is not None:
                    self._jobs[job.wish.id] = job
            for job in self._jobs.values():
                if job.state == "running":
                    self._begin(job)
            self._is_open.set()
            await asyncio.Event().wait()
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def start(self, wish: JobWish) -> Job:
        """Take a new job; returns it as it begins, or as it stands if it is known.

        Raises:
            JobRefused: too many are running, or another job has its identifier.
        """
        await self._is_open.wait()
        async with self._starting:
            known = self._jobs.get(wish.id)
            if known is None:
                return await self._start(wish)
        if known.wish != wish:
            raise JobRefused(f"there is another job '{wish.id}'; choose another identifier")
        return known

    async def _start(self, wish: JobWish) -> Job:
        running = [one for one in self._jobs.values() if one.state == "running"]
        if len(running) >= JOBS_RUNNING_MAX:
            raise JobRefused(f"{JOBS_RUNNING_MAX} jobs are running, as many as there may be")
        total = len(await self._devices(wish.query, ""))
        job = Job(wish, self._now_ms(), total=total)
        await self._keep(job)
        self._begin(job)
        return job

    async def cancel(self, job_id: str) -> Job:
        """Let a job do nothing more.

        Raises:
            JobRefused: there is none, or it has ended.
        """
        await self._is_open.wait()
        job = self._jobs.get(job_id)
        task = self._running.get(job_id)
        if job is None or task is None:
            state = "there is no such job" if job is None else f"it is {job.state}"
            raise JobRefused(f"'{job_id}' can't be cancelled: {state}")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        job = finished(self._jobs[job_id], "cancelled", self._now_ms())
        await self._keep(job)
        return job

    def _begin(self, job: Job) -> None:
        job_id = job.wish.id
        task = asyncio.create_task(self._run_job(job), name=f"job {job_id}")
        self._running[job_id] = task
        task.add_done_callback(lambda _: self._running.pop(job_id, None))

    async def _run_job(self, job: Job) -> None:
        """See to every device that is meant, some at a time."""
        wish = job.wish
        step = max(1, min(wish.rate_per_s // STEPS_PER_S, DEVICES_IN_A_STEP_MAX))
        while devices := await self._devices(wish.query, job.cursor):
            for start in range(0, len(devices), step):
                own = devices[start : start + step]
                job = await self._advance(job, own)
                await asyncio.sleep(len(own) / wish.rate_per_s)
        await self._keep(finished(job, "done", self._now_ms()))

    async def _advance(self, job: Job, devices: Sequence[str]) -> Job:
        loop, deed = self._deeds[job.wish.kind]
        while True:
            try:
                # A step that has begun ends: who cancels the job must know how far it came.
                asking = asyncio.ensure_future(loop.ask(partial(_step, deed, job, devices)))
                asking.add_done_callback(self._note)
                return await _until_done(asking)
            except StoreError:
                await asyncio.sleep(RETRY_S)

    def _note(self, step: asyncio.Future[Job]) -> None:
        if not step.cancelled() and step.exception() is None:
            job = step.result()
            self._jobs[job.wish.id] = job

    async def _keep(self, job: Job) -> None:
        """Write a job down, and forget the oldest of those that have ended."""
        self._jobs[job.wish.id] = job
        ended = [one for one in self._jobs.values() if one.state != "running"]
        ended.sort(key=lambda one: one.ended_ms)
        for forgotten in ended[:-JOBS_KEPT_MAX]:
            del self._jobs[forgotten.wish.id]
            await self._put(forgotten.wish.id, None)
        await self._put(job.wish.id, encode_job(job))

    async def _put(self, job_id: str, value: bytes | None) -> None:
        table = self._store.table(JOBS_TABLE)
        while True:
            try:
                await (table.delete(job_id) if value is None else table.put(job_id, value))
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _devices(self, query: Query, cursor: str) -> list[str]:
        """The devices that are meant and come behind the cursor, in the order of their ids."""
        found = []
        for count, (device_id, encoded) in enumerate(await self._entries(DEVICES_TABLE), start=1):
            if device_id > cursor and _fits(query, encoded):
                found.append(device_id)
            if count % DEVICES_AT_ONCE == 0:
                await asyncio.sleep(0)
        return sorted(found)

    async def _entries(self, table: str) -> Sequence[tuple[str, bytes]]:
        while True:
            try:
                return await self._store.entries(table)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)


async def _step(deed: Deed, job: Job, devices: Sequence[str], turn: Turn) -> Job:
    """Do to some devices what the job is about, and note how far it is."""
    failures: dict[str, str] = {}
    for device in devices:
        try:
            await deed(device, job.wish, turn)
        except PenstockError as error:
            failures[device] = str(error)
    job = advanced(job, devices[-1], failures, len(devices) - len(failures))
    turn.put(JOBS_TABLE, job.wish.id, encode_job(job))
    return job


async def _until_done(asking: asyncio.Future[Job]) -> Job:
    """Wait for a step to its end, also when the job is cancelled meanwhile."""
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        await asyncio.gather(asking, return_exceptions=True)
        raise


def _fits(query: Query, encoded: bytes) -> bool:
    try:
        return query.fits(decode_device(encoded))
    except DeviceInvalid:
        return False
