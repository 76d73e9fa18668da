# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every encapsulation that the recorder opens, and every capture at hand, against tshark: the innermost addresses,
ports and payload of each UDP datagram."""

import glob
import os
import subprocess

import pytest

from support import programs

TOOL = os.path.join(programs.BUILD, "tests", "capture", "packet", "packet_tool")
CAPTURES = sorted(os.path.basename(path) for path in glob.glob(os.path.join(programs.CAPTURES, "*.pcap*")))

pytestmark = [
    pytest.mark.skipif(programs.missing("tshark") is not None, reason="needs tshark"),
    pytest.mark.skipif(not os.path.exists(TOOL), reason=f"no {TOOL}"),
]

# What tshark takes for something else unless it is told.
HINTS = ["-d", "udp.port==8472,vxlan", "-d", "mpls.label==16,pwethnocw", "-d", "mpls.label==17,pwethcw"]
# What tshark does not open.
OURS_ONLY = {"GRE with VLAN", "ERSPAN III with IP", "IP in IP, KA9Q"}
# Damaged on purpose: tshark also shows what is left of datagrams that are not whole, and past the end of short ones.
DAMAGED = {"fuzz_2006_sip_rtp.pcap"}


def ours(path):
    """{packet number: (source, destination, payload in hex)}"""
    output = subprocess.run([TOOL, "print", path], capture_output=True, text=True, check=True, timeout=60).stdout
    return {int(number): tuple(rest) for number, *rest in (line.split("\t") for line in output.splitlines())}


def tsharks(path):
    """As `ours`; of each packet the innermost of its layers, which tshark lists last."""
    fields = ["frame.number", "frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport",
              "udp.payload"]
    command = ["tshark", "-n", "-r", path, *HINTS, "-Y", "udp.payload and not icmp and not icmpv6", "-T", "fields",
               "-E", "occurrence=l"]
    for name in fields:
        command += ["-e", name]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = {}
    for line in output.splitlines():
        number, protocols, source4, target4, source6, target6, source_port, target_port, payload = line.split("\t")
        layers = protocols.split(":")
        version = max(("ip", "ipv6"), key=lambda layer: len(layers) - layers[::-1].index(layer)
                      if layer in layers else 0)
        source, target = (source4, target4) if version == "ip" else (f"[{source6}]", f"[{target6}]")
        found[int(number)] = (f"{source}:{source_port}", f"{target}:{target_port}", payload)
    return found


def test_every_encapsulation_is_read_as_tshark_reads_it(tmp_path):
    path = str(tmp_path / "capsules.pcap")
    names = subprocess.run([TOOL, "write", path], capture_output=True, text=True, check=True).stdout.splitlines()
    found, known = ours(path), tsharks(path)
    assert len(known) > 100
    assert {names[number - 1] for number in found.keys() - known.keys()} == OURS_ONLY
    assert {number: found.get(number) for number in known} == known


@pytest.mark.parametrize("name", CAPTURES)
def test_every_capture_is_read_as_tshark_reads_it(name):
    path = os.path.join(programs.CAPTURES, name)
    found, known = ours(path), tsharks(path)
    if name not in DAMAGED:
        assert found == known
        return
    assert len(found) > 400
    for number, (source, target, payload) in found.items():
        assert known[number][:2] == (source, target)
        assert known[number][2].startswith(payload)
