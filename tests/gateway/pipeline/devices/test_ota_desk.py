from __future__ import annotations

import msgspec
import pytest

from gateway.devices import Campaign, DeviceQuery, Image
from gateway.errors import ChangeRefused
from gateway.pipeline.devices.ota_desk import OtaDesk
from gateway.store import BlobStore
from tests.harness.device_services import NOW_MS, Bench


@pytest.fixture
async def desk(tmp_path):
    bench = await Bench().open()
    blobs = BlobStore(tmp_path, bench.clock)
    desk = OtaDesk(bench.around, blobs, lambda topic, payload: None)
    desk.blobs, desk.bench = blobs, bench
    task = desk.start()
    yield desk
    task.cancel()


async def test_everything_that_can_be_asked_is_answered_with_what_became(desk):
    image = Image("pump", "1", desk.blobs.put(b"image"), 5)
    add = desk.requests["ota.add-image"]
    assert await add(msgspec.msgpack.encode(image)) == {"image": "pump@1"}
    campaign = msgspec.msgpack.encode(Campaign("c1", image, DeviceQuery(("d",))))
    started = await desk.requests["ota.start"](campaign, "pump@1")
    assert (started["state"], started["created_ms"]) == ("preparing", NOW_MS)
    stopped = await desk.requests["ota.change"]("c1", "aborted")
    assert stopped["state"] == "aborted"
    assert await desk.requests["ota.remove-image"]("pump@1") == {"image": "pump@1"}
    assert await desk.requests["ota.forget"]("c1") == {"campaign": "c1"}


async def test_what_makes_no_sense_is_refused(desk):
    with pytest.raises(ChangeRefused, match="not an image"):
        await desk.add_image(b"\xc1")
    with pytest.raises(ChangeRefused, match="not a campaign"):
        await desk.start_campaign(b"{}", "pump@1")
    with pytest.raises(ChangeRefused, match="can't be 'dancing'"):
        await desk.change_campaign("c1", "dancing")
