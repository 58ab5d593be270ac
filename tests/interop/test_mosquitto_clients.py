"""mosquitto_pub and mosquitto_sub, where they are installed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.harness.log_reader import read_log
from tests.harness.waiting import wait_for

INSTALLED = all(map(shutil.which, ("mosquitto_pub", "mosquitto_sub", "stdbuf")))
WAIT_S = 15

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not INSTALLED, reason="mosquitto_pub and mosquitto_sub are not installed"),
]
versions = pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])


def publish(gateway, *options: str, lines: str = "") -> None:
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(gateway.port), *options]
    subprocess.run(command, input=lines, text=True, timeout=WAIT_S, check=True)


class Subscriber:
    """A mosquitto_sub that has subscribed; its messages are the lines without its own words."""

    def __init__(self, gateway, *options: str) -> None:
        place = ["-h", "127.0.0.1", "-p", str(gateway.port), "-W", str(WAIT_S)]
        self.child = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", "-d", *place, *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.child.stdout is not None
        assert wait_for(lambda: "Subscribed" in self.child.stdout.readline(), "SUBACK", poll_s=0)

    def messages(self) -> list[str]:
        """Wait for its end, which -C sets, and return what it was told."""
        assert self.child.stdout is not None
        with self.child.stdout as output:
            lines = [line.rstrip("\n") for line in output]
        assert self.child.wait(WAIT_S) == 0, lines
        return [line for line in lines if not line.startswith("Client ")]


@versions
@pytest.mark.parametrize("qos", ["0", "1"])
def test_lines_pass_from_pub_to_sub_and_into_the_log(gateway, version, qos):
    topic = f"lines/{version}-{qos}/state"
    subscriber = Subscriber(
        gateway, "-V", version, "-q", qos, "-t", "lines/+/state", "-C", "50", "-F", "%t %q %p"
    )
    lines = [f'{{"n":{number}}}' for number in range(50)]
    publish(gateway, "-V", version, "-q", qos, "-t", topic, "-l", lines="\n".join(lines) + "\n")
    assert subscriber.messages() == [f"{topic} {qos} {line}" for line in lines]
    logged = read_log(gateway.data, "telemetry", "--topic", topic)
    assert [event.payload["n"] for event in logged] == list(range(50))


@versions
def test_a_retained_message_is_handed_to_a_new_subscriber(gateway, version):
    topic = f"kept/{version}/state"
    publish(gateway, "-V", version, "-q", "1", "-r", "-t", topic, "-m", "last")
    subscriber = Subscriber(
        gateway, "-V", version, "-t", f"kept/{version}/#", "-C", "1", "-F", "%r %p"
    )
    assert subscriber.messages() == ["1 last"]
