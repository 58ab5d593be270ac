"""Other projects' tests of MQTT servers, as their published sources have them; none is kept here.

Mosquitto's come in Debian's source package, Paho's in the source distribution on PyPI.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

DEBIAN = "deb-src http://deb.debian.org/debian bookworm main\n"
PAHO = "paho-mqtt==2.1.0"


class SourcesUnavailable(Exception):
    """The sources could not be fetched; says why."""


def mosquitto_sources(folder: Path) -> Path:
    """Mosquitto's source tree, fetched with apt when it isn't in `folder` yet.

    Raises:
        SourcesUnavailable: apt, or Debian's mirror, is not at hand.
    """
    if not (found := sorted(folder.glob("mosquitto-*/test/broker"))):
        (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
        (folder / "sources.list").write_text(DEBIAN)
        options = [
            f"Dir::State::Lists={folder}/lists",
            f"Dir::Etc::sourcelist={folder}/sources.list",
            "Dir::Etc::sourceparts=-",
        ]
        apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
        _run([*apt, "update"], folder)
        _run([*apt, "source", "--download-only", "mosquitto"], folder)
        _unpack(folder, "mosquitto_*.orig.tar.gz")
        found = sorted(folder.glob("mosquitto-*/test/broker"))
    return found[-1].parents[1]


def paho_sources(folder: Path) -> Path:
    """The source tree of Paho's Python client, fetched with pip when it isn't in `folder` yet.

    Raises:
        SourcesUnavailable: PyPI is not at hand.
    """
    if not (found := sorted(folder.glob("paho_mqtt-*/tests"))):
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        _run([*pip, "-d", str(folder), PAHO], folder)
        _unpack(folder, "paho_mqtt-*.tar.gz")
        found = sorted(folder.glob("paho_mqtt-*/tests"))
    return found[-1].parent


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise SourcesUnavailable(f"{command[0]} is not on this machine") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().splitlines()[-1:]
        raise SourcesUnavailable(f"{' '.join(command[:3])}: {' '.join(last)}") from error


def _unpack(folder: Path, pattern: str) -> None:
    for archive in folder.glob(pattern):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
