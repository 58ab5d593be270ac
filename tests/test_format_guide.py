"""What docs/format.md tells people to type works as it says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.gateway.store.logs import write_small_log

GUIDE = Path("docs/format.md").read_text()


@pytest.mark.skipif(
    not (shutil.which("sqlite3") and shutil.which("zstd")),
    reason="needs the sqlite3 shell and zstd",
)
def test_a_log_is_read_by_hand_as_the_guide_says(tmp_path):
    data_dir = write_small_log(tmp_path)
    (script,) = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", script], cwd=data_dir, capture_output=True, check=True
    )
    assert b"|telemetry|0|0|10|2023-11-14" in done.stdout
    assert b'"origins":[["plant/pump-0/t","pump-0"]' in done.stdout
    assert done.stdout.rstrip().endswith(b"90919293949596979899")


def test_the_guide_names_every_table():
    for table in ("streams", "partitions", "batches", "entries", "groups", "group_offsets", "meta"):
        assert f"**`{table}`**" in GUIDE
