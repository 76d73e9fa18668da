# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sums that must balance to the packet: what was sent, what came, what is stored, and each counted loss."""

import os
import re
import time
from dataclasses import dataclass

from support import programs


def status(daemon):
    """What `spantape status --json` says."""
    return programs.spantape_json("status", "--server", f"127.0.0.1:{daemon.ports['xml']}")


def drops(counters):
    """{reason: packets} of what is counted under a reason of capture/packet/drop_reasons.def."""
    return {name[5:]: value for name, value in counters.items() if name.startswith("drop_")}


def explained(counters):
    """Packets that the workers took and that are accounted for: stored, held, signalling, or dropped for one reason."""
    held = counters["framesheld"] + counters["fragmentsheld"]
    signalled = counters["sipmessages"] + counters["siptcpsegments"] + counters["rtcpreports"]
    return counters["framesstored"] + held + signalled + sum(drops(counters).values())


def dropped_before_us(counters):
    """Packets that the kernel, the card or the spread among workers could not hand over."""
    return sum(int(source[name]) for source in counters["source"]
               for name in ("droppedkernel", "droppedcard", "droppedspread"))


def taken(counters):
    return sum(int(source["packets"]) for source in counters["source"])


@dataclass
class Interface:
    """Packets that the kernel counted on an interface since this was made."""
    name: str
    received_before: int = 0
    dropped_before: int = 0

    def __post_init__(self):
        self.received_before, self.dropped_before = self._read("rx_packets"), self._read("rx_dropped")

    def _read(self, counter):
        path = os.path.join("/sys/class/net", self.name, "statistics", counter)
        with open(path, encoding="ascii") as file:
            return int(file.read())

    @property
    def received(self):
        return self._read("rx_packets") - self.received_before


@dataclass
class Replay:
    """One pass of a capture over an interface."""
    sent: int
    failed: int
    rate: float  # packets/s, as it was


def replay(interface, path, packets_per_second=None):
    speed = ["--topspeed"] if packets_per_second is None else [f"--pps={packets_per_second}"]
    done = programs.run("tcpreplay", "--preload-pcap", "--quiet", *speed, "-i", interface, path, timeout_s=120)
    assert done.returncode == 0, done.stderr[-1000:]

    def number(pattern):
        return float(re.search(pattern, done.stdout).group(1))
    return Replay(int(number(r"Successful packets: +(\d+)")), int(number(r"Failed packets: +(\d+)")),
                  number(r"([\d.]+) pps"))


def settled(daemon, packets, timeout_s=20):
    """The counters once `packets` of them were taken or counted lost, or nothing has changed for two seconds."""
    end = time.monotonic() + timeout_s * programs.PATIENCE
    before, since = None, time.monotonic()
    while time.monotonic() < end:
        counters = status(daemon)
        reached = taken(counters) + dropped_before_us(counters)
        if reached != before:
            before, since = reached, time.monotonic()
        if reached >= packets and time.monotonic() - since > 0.3 or time.monotonic() - since > 2 * programs.PATIENCE:
            return counters
        time.sleep(0.1)
    raise AssertionError(f"still counting after {timeout_s} s: {before} of {packets}")
