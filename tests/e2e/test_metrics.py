# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the appliance says about itself over a real interface: /metrics as an independent parser reads it, and the sums
of its counters, which account for every packet that was sent."""

import json
import random
import struct
import urllib.error
import urllib.request

import pytest

from support import programs, wire

parser = pytest.importorskip("prometheus_client.parser", reason="needs python3-prometheus-client")

CALLS = 10
FLOOD = 20000
DUPLICATES = 300


def scrape(daemon):
    """{(name, ((label, value), …)): value} and the type of each family."""
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.ports['webapi']}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    samples, types = {}, {}
    for family in parser.text_string_to_metric_families(text):
        types[family.name] = family.type
        assert family.documentation, family.name
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, f"twice: {key}"
            samples[key] = sample.value
    return samples, types


def total(samples, name, **labels):
    """Over all samples of the name that have these labels."""
    return sum(value for (found, has), value in samples.items()
               if found == name and labels.items() <= dict(has).items())


def rtp_frame(source, destination, ssrc, sequence):
    header = struct.pack(">BBHII", 0x80, 0, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc)
    return wire.udp_frame(source, destination, header + bytes(160))


def send_flood(port, count):
    """Flows that show one frame each, ten thousand a second or so."""
    lot = random.Random(3)
    for _ in range(count):
        source = (f"198.18.{lot.randrange(256)}.{lot.randrange(1, 255)}", lot.randrange(1024, 65535))
        destination = (f"198.19.{lot.randrange(256)}.{lot.randrange(1, 255)}", lot.randrange(1024, 65535))
        port.send(rtp_frame(source, destination, lot.getrandbits(32), lot.getrandbits(16)))


def generate(port, directory):
    manifest = directory / "manifest.json"
    done = programs.run(programs.SPANTAPE_GEN, "--calls", CALLS, "--seconds", 3, "--rate", 20, "--ring", 200,
                        "--interface", port.outside, "--manifest", manifest)
    assert done.returncode == 0, done.stderr
    with open(manifest, encoding="utf-8") as file:
        calls = json.load(file)["calls"]
    return sum(side["packets"] for call in calls for side in (call["caller"], call["callee"]))


def interface_packets(interface):
    """How many frames the kernel took in there."""
    with open(f"/sys/class/net/{interface}/statistics/rx_packets", encoding="ascii") as file:
        return int(file.read())


def settled(daemon):
    """The samples once no stream is open and nothing is held."""
    samples, types = scrape(daemon)
    return (samples, types) if total(samples, "spantape_streams") + total(samples, "spantape_frames_held") == 0 else None


@pytest.fixture(scope="module")
def run(port, tmp_path_factory):
    directory = tmp_path_factory.mktemp("metrics")
    daemon = programs.Daemon(directory, [f"pcap:{port.inside}"], capture={"max_streams": 512})
    daemon.start()
    try:
        before = interface_packets(port.inside)
        rtp = generate(port, directory)
        for number in range(DUPLICATES):
            frame = rtp_frame(("10.9.0.1", 4000), ("10.9.0.2", 5000), 77, number)
            port.send(frame)
            port.send(frame)
        for _ in range(50):
            port.send(wire.udp_frame(("10.9.0.1", 9), ("10.9.0.2", 9), b"\x00\x01\x02\x03"))
        send_flood(port, FLOOD)
        sent = interface_packets(port.inside) - before
        samples, types = programs.wait_until(lambda: settled(daemon), 30, "all streams over")
        status = programs.spantape_json("status", "--server", f"127.0.0.1:{daemon.ports['xml']}")
        yield {"sent": sent, "rtp": rtp, "samples": samples, "types": types, "status": status, "daemon": daemon,
               "source": f"pcap:{port.inside}"}
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def test_sent_is_what_was_taken_and_what_was_lost_before(run):
    samples = run["samples"]
    taken = total(samples, "spantape_packets_total")
    assert taken == total(samples, "spantape_source_packets_total", source=run["source"])
    assert run["sent"] == taken + total(samples, "spantape_source_drops_total", source=run["source"])


def test_every_packet_ends_in_exactly_one_counter(run):
    samples = run["samples"]
    stored, sip = (total(samples, f"spantape_{name}_total") for name in ("frames_stored", "sip_packets"))
    drops = total(samples, "spantape_drops_total")
    tcp = total(samples, "spantape_sip_tcp_segments_total")
    rtcp, fragments = total(samples, "spantape_rtcp_reports_total"), total(samples, "spantape_fragments_held")
    assert total(samples, "spantape_packets_total") == stored + sip + tcp + rtcp + fragments + drops
    assert total(samples, "spantape_source_unused_packets_total", source=run["source"]) == drops
    assert stored == run["rtp"] == total(samples, "spantape_writer_frames_total")


def test_drops_stand_under_their_reasons(run):
    samples = run["samples"]
    assert total(samples, "spantape_drops_total", reason="duplicate") == DUPLICATES
    assert total(samples, "spantape_drops_total", reason="not_rtp") == 50
    assert total(samples, "spantape_drops_total", reason="unwatched") == DUPLICATES + FLOOD
    assert total(samples, "spantape_drops_total", reason="no_stream_slot") == 0


def test_status_shows_the_same(run):
    samples, status = run["samples"], run["status"]
    assert status["packets"] == total(samples, "spantape_packets_total")
    assert status["framesstored"] == total(samples, "spantape_frames_stored_total")
    assert status["drop_unwatched"] == total(samples, "spantape_drops_total", reason="unwatched")
    assert status["streamslots"] == total(samples, "spantape_stream_slots") == 512
    assert [worker["packets"] for worker in status["worker"]] == [status["packets"]]
    assert status["recordingscompleted"] == total(samples, "spantape_recordings_completed_total") == CALLS
    text = programs.run(programs.SPANTAPE, "status", "--server", f"127.0.0.1:{run['daemon'].ports['xml']}").stdout
    assert f"{status['packets']:,}" in text and "not_rtp" in text


def test_names_and_types_follow_the_conventions(run):
    for name, kind in run["types"].items():
        assert kind in ("counter", "gauge", "histogram"), name
        assert name.startswith(("spantape_", "process_")), name
    totals = {name for name, _ in run["samples"] if name.endswith("_total")}
    assert all(run["types"][name.removesuffix("_total")] == "counter" for name in totals)


def test_the_flood_is_in_the_log_in_a_few_lines(run):
    lines = [line for line in run["daemon"].log().splitlines() if "a flood of RTP" in line]
    assert 1 <= len(lines) <= 60


def test_the_access_rules_hold_for_it(start_daemon, tmp_path):
    daemon = start_daemon(tmp_path, [], api={"allow": ["192.0.2.0/24"]})
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        scrape(daemon)
