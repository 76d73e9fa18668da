# SPDX-License-Identifier: AGPL-3.0-or-later
"""Streams, packets, duplicates and loss of every capture as tshark counts them, with or without SIP in it."""

import os

import pytest

from support import census, programs
from support.census import Count

pytestmark = pytest.mark.skipif(programs.missing("tshark") is not None, reason="needs tshark")


def captures():
    try:
        return sorted(name for name in os.listdir(programs.CAPTURES) if name.endswith((".pcap", ".pcapng")))
    except OSError:
        return []


# What tshark and we count otherwise: capture -> stream -> (theirs, ours), each with its reason. Nothing else may differ.
DIFFERENCES = {
    "fuzz_2006_sip_rtp.pcap": {
        # NetBIOS name queries, RTP only because tshark is told that all UDP is; where RTP has its sequence number they
        # have 0x0110, but for a few that were damaged. After a number that jumped ahead by less than 3,000 (a loss to
        # us: 2,047 in all) the old one is out of our reorder window, so it is no duplicate, and it repeats, so it is no
        # restart. Four of them have an IP or UDP length beyond the packet: bad_ip, bad_udp or snapped to us.
        ("192.168.1.2:137", "192.168.1.255:137", 0): (Count(68, 57, -10), Count(64, 6, 2047)),
        # All 0xaa: ten CSRCs and 170 bytes of padding in a packet of 162. tshark shows it with the padding cut short;
        # we count it as bad_rtp (RFC 3550 §5.1).
        ("192.168.1.2:30000", "212.242.33.36:40392", 0xAAAAAAAA): (Count(1, 0, 0), None),
    },
}


def differences(path):
    theirs, ours = census.by_tshark(path), census.by_us(path)
    return {key: (theirs.get(key), ours.get(key)) for key in theirs.keys() | ours.keys()
            if theirs.get(key) != ours.get(key)}


@pytest.mark.skipif(not captures(), reason=f"no captures in {programs.CAPTURES}")
@pytest.mark.parametrize("name", captures())
def test_streams_of_a_capture_are_counted_as_tshark_counts_them(name):
    assert differences(os.path.join(programs.CAPTURES, name)) == DIFFERENCES.get(name, {})


# A stream's first two packets came the wrong way round: tshark counts what is expected from the first that came on.
FIRST_CAME_LATE = {("10.32.0.8:40014", "10.16.0.8:20014", 3527415825): (Count(150, 0, -1), Count(150, 0, 0))}


@pytest.mark.parametrize("options, expected", [
    ("", {}),
    ("--loss 3", {}),
    ("--duplicates 5", {}),
    ("--reorder 4", FIRST_CAME_LATE),
    ("--loss 2 --duplicates 3 --reorder 2 --jitter 15", {}),
])
def test_damage_that_was_made_is_counted_as_tshark_counts_it(tmp_path, options, expected):
    path = tmp_path / "made.pcap"
    made = programs.run(programs.SPANTAPE_GEN, "--calls", 8, "--seconds", 3, "--seed", 7, *options.split(), "--out", path)
    assert made.returncode == 0, made.stderr
    theirs = census.by_tshark(path)
    assert len(theirs) == 16
    assert any(c.lost for c in theirs.values()) == ("--loss" in options or bool(expected))
    assert any(c.duplicates for c in theirs.values()) == ("--duplicates" in options)
    assert differences(path) == expected
