from gateway.store.scrubbing import DamagedBatch, Scrubbed


def test_a_damaged_batch_says_which_offsets_it_takes():
    assert str(DamagedBatch(512, "telemetry", 2, 40, 50)) == "telemetry/2 40 to 49"


def test_a_step_finds_nothing_unless_it_says_so():
    assert not Scrubbed(0, 4096).damaged
