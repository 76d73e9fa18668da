# SPDX-License-Identifier: AGPL-3.0-or-later
"""Calls signalled over TCP: live between real peers, and the same capture damaged as mirrors damage it."""

import os
import random

import pytest

from support import peers, programs, wire
from support.clients import Subscriber, XmlClient

CALLS = 20
SECONDS = 3.0
RATE_CPS = 10
PREFIX = "8"
DEVICES = {f"{PREFIX}{n}" for n in range(1, CALLS + 1)}
WINDOW = 4  # segments that change places

needs_peers = pytest.mark.skipif(programs.missing("sipp", "tcpdump") is not None, reason="needs sipp and tcpdump")


def status(daemon):
    with XmlClient(daemon.ports["xml"]) as client:
        return {each.tag: int(each.text) for each in client.ask("APPLIANCESTATUS").root if (each.text or "").isdigit()}


class Run:
    """What the witness saw of the calls, and what the appliance made of them."""


@pytest.fixture(scope="module", params=["t1", "tn"], ids=["one connection", "a connection each"])
def live(request, mirror, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tcp")
    run = Run()
    run.transport = request.param
    daemon = programs.Daemon(directory, [f"pcap:{mirror.mirror}"], devices={"match": [f"^{PREFIX}[0-9]+$"]})
    daemon.start()
    witness = subscriber = calls = None
    try:
        subscriber = Subscriber(daemon.ports["events"])
        witness = peers.Witness(mirror.mirror, directory / "witness.pcap", "udp or tcp")
        calls = peers.SippCalls(mirror, str(directory / "sipp"), CALLS, SECONDS, RATE_CPS, PREFIX,
                                transport=run.transport)
        calls.wait()
        subscriber.wait_for(lambda events: sum(e.type == "RECORDINGUPDATE" for e in events) >= CALLS, 20,
                            f"{CALLS} RECORDINGUPDATE")
        run.capture = witness.path
        _, run.streams = witness.stop()
        run.status = status(daemon)
        run.recordings = programs.spantape_json("calls", "--store", daemon.store, "--limit", 1000)
        daemon.stop()
        yield run
    finally:
        for part in (calls, witness, daemon):
            if part:
                part.kill()
        if subscriber:
            subscriber.close()


def stored_streams(recordings):
    return {(s["source"], s["destination"], int(s["ssrc"], 16)): s["packets"] for r in recordings for s in r["streams"]}


@needs_peers
def test_every_call_is_recorded_once_and_whole(live):
    assert len(live.streams) == 2 * CALLS
    assert sorted(r["device_id"] for r in live.recordings) == sorted(DEVICES)
    assert stored_streams(live.recordings) == {key: len(packets) for key, packets in live.streams.items()}


@needs_peers
def test_the_status_tells_what_came_over_tcp(live):
    assert live.status["SIPTCPCONNECTIONS"] == (1 if live.transport == "t1" else CALLS)
    assert live.status["SIPTCPSEGMENTS"] >= 6 * CALLS
    assert live.status["SIPMESSAGES"] == 0
    assert live.status["SIPUNDERSTOOD"] == 6 * CALLS  # INVITE, 180, 200, ACK, BYE, 200
    assert live.status["SIPTCPGAPS"] == live.status["SIPTCPRESYNCS"] == live.status["SIPTCPEVICTED"] == 0


def swapped(records):
    """Segments change places within a window; the times stay where they were."""
    chance = random.Random(3)
    numbers = [segment.record for segment in wire.tcp_segments(records)]
    out = list(records)
    for at in range(0, len(numbers), WINDOW):
        group = numbers[at:at + WINDOW]
        for slot, number in zip(group, chance.sample(group, len(group))):
            out[slot] = (*records[slot][:2], records[number][2])
    return out


def doubled(records):
    return [record for record in records for _ in range(2)]


def one_lost(records):
    """Without the segment that carries the INVITE in the middle."""
    invites = [s.record for s in wire.tcp_segments(records) if b"INVITE sip:" in s.payload[:12]]
    lost = invites[len(invites) // 2]
    return records[:lost] + records[lost + 1:]


def without_beginning(records):
    """From the middle of the first message on, and without any SYN."""
    first = wire.tcp_segments(records)[0].record
    return records[first + 1:]


def recorded(live, directory, damage):
    header, records = wire.read_records(live.capture)
    path = os.path.join(directory, "damaged.pcap")
    wire.write_records(path, header, damage(records))
    return programs.spantape_json("record", path, "--store", os.path.join(directory, "store"), "--out",
                                  os.path.join(directory, "out"))


@needs_peers
@pytest.mark.parametrize("damage", [swapped, doubled])
def test_disorder_and_duplicates_change_nothing(live, tmp_path, damage):
    recordings = recorded(live, tmp_path, damage)
    assert len(recordings) == CALLS
    assert stored_streams(recordings) == {key: len(packets) for key, packets in live.streams.items()}


@needs_peers
@pytest.mark.parametrize("damage", [one_lost, without_beginning])
def test_a_lost_segment_costs_no_other_call(live, tmp_path, damage):
    recordings = recorded(live, tmp_path, damage)
    expected = {key: len(packets) for key, packets in live.streams.items()}
    stored = stored_streams(recordings)
    whole = [r for r in recordings if len(r["streams"]) == 2]
    assert len(whole) >= CALLS - 1
    assert all(expected[key] == packets for r in whole for key, packets in stored_streams([r]).items())
    assert len(stored) >= 2 * CALLS - 2


@pytest.mark.skipif(not os.path.isdir(programs.CAPTURES), reason=f"no captures in {programs.CAPTURES}")
def test_a_body_of_64_kilobytes_is_understood(start_daemon, tmp_path):
    capture = os.path.join(programs.CAPTURES, "suricata_sip_body_large_tcp.pcap")
    daemon = start_daemon(tmp_path, [f"file:{capture}"])
    counters = programs.wait_until(
        lambda: (lambda now: now if now["SIPUNDERSTOOD"] == 2 else None)(status(daemon)), 10, "the INVITE and its 100")
    assert counters["SIPMALFORMED"] == counters["SIPTCPGAPS"] == counters["SIPTCPRESYNCS"] == 0
    assert counters["SIPOUTOFDIALOG"] == 0  # both are of one call
