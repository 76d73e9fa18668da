# SPDX-License-Identifier: AGPL-3.0-or-later
"""Quality of recorded streams: jitter and loss as tshark computes them, what RTCP says of the far end, MOS."""

import os
import re
import struct
import subprocess

import pytest

from support import programs, wire

pytestmark = pytest.mark.skipif(programs.missing("tshark") is not None, reason="needs tshark")

CALLER, CALLEE = "10.16.0.1", "10.32.0.1"


def tshark_rtp_streams(path):
    """{ssrc: {packets, lost, mean_jitter, max_jitter}} of `tshark -z rtp,streams`, in ms."""
    text = subprocess.run(["tshark", "-n", "-r", str(path), "-q", "-z", "rtp,streams"], capture_output=True, text=True,
                          check=True, timeout=120).stdout
    row = re.compile(r"0x([0-9A-Fa-f]{8}) +.*? (\d+) +(-?\d+) \([-\d.]+%\) +([-\d. ]+)")
    streams = {}
    for line in text.splitlines():
        found = row.search(line)
        if found:
            numbers = [float(number) for number in found.group(4).split()]
            streams[int(found.group(1), 16)] = {"packets": int(found.group(2)), "lost": int(found.group(3)),
                                                "mean_jitter": numbers[-2], "max_jitter": numbers[-1]}
    return streams


def generate(path, *options, calls=2):
    done = programs.run(programs.SPANTAPE_GEN, "--calls", calls, "--seconds", 8, *options, "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def record(path, store):
    return programs.spantape_json("record", path, "--store", store, "--format", "none")


def streams_of(recordings):
    return {int(stream["ssrc"], 16): stream for recording in recordings for stream in recording["streams"]}


@pytest.mark.parametrize("options", [
    (), ("--jitter", 12), ("--codec", "l16", "--jitter", 25), ("--ptime", 40, "--jitter", 8),
], ids=["steady", "jitter", "dynamic_payload_type", "40ms"])
def test_jitter_is_what_tshark_computes(tmp_path, options):
    capture = generate(tmp_path / "made.pcap", *options)
    expected = tshark_rtp_streams(capture)
    streams = streams_of(record(capture, tmp_path / "store"))
    assert len(streams) == 4 and streams.keys() == expected.keys()
    for ssrc, stream in streams.items():
        assert stream["jitter_ms"] == pytest.approx(expected[ssrc]["mean_jitter"], rel=0.06, abs=0.02)
        assert stream["max_jitter_ms"] == pytest.approx(expected[ssrc]["max_jitter"], rel=0.02, abs=0.02)


def test_loss_is_what_tshark_counts_and_lowers_the_score(tmp_path):
    capture = generate(tmp_path / "made.pcap", "--loss", 4, "--duplicates", 3)
    expected = tshark_rtp_streams(capture)
    recordings = record(capture, tmp_path / "store")
    streams = streams_of(recordings)
    assert streams.keys() == expected.keys()
    for ssrc, stream in streams.items():
        assert stream["lost"] > 0
        # tshark takes a packet seen twice for one more received, and so for one less lost.
        duplicates = expected[ssrc]["packets"] - stream["packets"]
        assert stream["lost"] == expected[ssrc]["lost"] + duplicates
        # G.107 with G.711 and concealment: R falls by 95 p / (p + 25.1).
        assert 3.6 < stream["mos"] < 4.3
    for recording in recordings:
        ledger = recording["ledger"]
        assert ledger["lost_before"] == sum(stream["lost"] for stream in recording["streams"])
        assert (ledger["dropped_kernel"], ledger["dropped_us"]) == (0, 0)
        assert ledger["duplicates"] > 0


def test_reordered_packets_are_not_lost(tmp_path):
    capture = generate(tmp_path / "made.pcap", "--reorder", 5)
    for stream in streams_of(record(capture, tmp_path / "store")).values():
        assert stream["lost"] == 0
        assert stream["mos"] == pytest.approx(4.4, abs=0.02)


def packets_of(path):
    """[(seconds, nanoseconds, frame)] of a nanosecond pcap."""
    data = path.read_bytes()
    assert data[:4] == struct.pack("<I", 0xA1B23C4D)
    position, packets = 24, []
    while position < len(data):
        seconds, nanoseconds, captured, _ = struct.unpack_from("<IIII", data, position)
        packets.append((seconds, nanoseconds, data[position + 16:position + 16 + captured]))
        position += 16 + captured
    return data[:24], packets


def with_rtcp(path, made):
    """The capture with more packets in their time order."""
    head, packets = packets_of(path)
    packets = sorted(packets + made, key=lambda packet: packet[:2])
    path.write_bytes(head + b"".join(struct.pack("<IIII", s, ns, len(frame), len(frame)) + frame
                                     for s, ns, frame in packets))


def test_the_far_ends_reports_are_read(tmp_path):
    capture = generate(tmp_path / "made.pcap", calls=1)
    sources = {key[0].split(":")[0]: key for key in wire.tshark_streams(capture)}
    source, target, ssrc = sources[CALLER]
    ports = int(source.split(":")[1]) + 1, int(target.split(":")[1]) + 1
    sdes = struct.pack(">BBHIBB2sI", 0x81, 202, 3, 99, 1, 2, b"ab", 0)
    sender = struct.pack(">BBHIIIIII", 0x80, 200, 6, ssrc, 0xE8000001, 0x80000000, 160, 50, 8000) + sdes
    report = struct.pack(">BBHIIIIIII", 0x81, 201, 7, 99, ssrc, 0x10000007, 0x10190, 44, 0x00018000, 0x8000) + sdes
    start = 1700000000
    with_rtcp(capture, [
        (start + 5, 0, wire.udp_frame((CALLER, ports[0]), (CALLEE, ports[1]), sender)),
        (start + 5, 520_000_000, wire.udp_frame((CALLEE, ports[1]), (CALLER, ports[0]), report)),  # half a second held
    ])
    streams = streams_of(record(capture, tmp_path / "store"))
    spoken = streams.pop(ssrc)
    assert (spoken["far_lost"], spoken["far_jitter_ms"]) == (7, 5.5)
    assert spoken["round_trip_ms"] == pytest.approx(20, abs=0.1)
    (other,) = streams.values()
    assert "far_lost" not in other and "far_jitter_ms" not in other


@pytest.mark.skipif(not os.path.isdir(programs.CAPTURES), reason=f"no captures in {programs.CAPTURES}")
def test_a_real_calls_quality(tmp_path):
    """Silence suppression and comfort noise: tshark takes jitter over the gaps too, so only its order is compared."""
    capture = os.path.join(programs.CAPTURES, "rtp_protocol_pcma_cn.pcap")
    expected = tshark_rtp_streams(capture)
    streams = streams_of(record(capture, tmp_path / "store"))
    assert streams.keys() == expected.keys()
    for ssrc, stream in streams.items():
        assert stream["lost"] == expected[ssrc]["lost"] == 0
        assert stream["max_jitter_ms"] <= expected[ssrc]["max_jitter"] + 0.1
        assert 4.3 < stream["mos"] <= 4.41


def test_the_table_shows_the_score(tmp_path):
    capture = generate(tmp_path / "made.pcap")
    record(capture, tmp_path / "store")
    table = programs.run(programs.SPANTAPE, "calls", "--store", tmp_path / "store").stdout.splitlines()
    assert "MOS" in table[0].split() and "4.4" in table[1].split()
