# SPDX-License-Identifier: AGPL-3.0-or-later
"""Calls through DPDK's software ports: an interface by af_packet, a capture file by the pcap port."""

import json
import os
import subprocess

import pytest

from support import ledger, network, programs
from support.clients import XmlClient

CALLS = 30
MEDIA = ("--calls", CALLS, "--seconds", 2, "--rate", 30, "--ring", 200)

pytestmark = pytest.mark.alone  # DPDK's workers never sleep


def generate(directory, *arguments):
    """Runs spantape-gen; what it says that it sent."""
    manifest = directory / "manifest.json"
    done = programs.run(programs.SPANTAPE_GEN, *MEDIA, *arguments, "--manifest", manifest)
    assert done.returncode == 0, done.stderr
    with open(manifest, encoding="utf-8") as file:
        return json.load(file)["calls"]


def packets_of(calls):
    """RTP packets by stream, as the generator counted them."""
    return {(side["source"], side["destination"], int(side["ssrc"], 16)): side["packets"]
            for call in calls for side in (call["caller"], call["callee"])}


def status_of(daemon):
    with XmlClient(daemon.ports["xml"]) as client:
        root = client.ask("APPLIANCESTATUS").root
    sources = [{child.tag: child.text for child in source} for source in root.iter("SOURCE")]
    values = {}
    for element in root.iter():
        values.setdefault(element.tag, element.text)  # the sums stand before those of each source
    return values, sources


def stored(daemon):
    recordings = programs.spantape_json("calls", "--store", daemon.store, "--limit", 1000)
    done = [r for r in recordings if r["state"] == "stored"]
    return done if len(done) >= CALLS else None


def check_all_is_there(daemon, calls, workers):
    recordings = programs.wait_until(lambda: stored(daemon), 20, f"{CALLS} recordings")
    assert sorted(r["device_id"] for r in recordings) == sorted(call["to"] for call in calls)
    found = {}
    for recording in recordings:
        ledger = recording["ledger"]
        assert [ledger[name] for name in ("lost_before", "dropped_us", "dropped_kernel", "duplicates")] == [0] * 4
        for stream in recording["streams"]:
            found[(stream["source"], stream["destination"], int(stream["ssrc"], 16))] = stream["packets"]
    assert found == packets_of(calls)
    values, sources = status_of(daemon)
    assert len(sources) == workers
    assert sum(int(source["PACKETS"]) for source in sources) == int(values["PACKETS"])
    for source in sources:
        assert [source[name] for name in ("DROPPEDKERNEL", "DROPPEDCARD", "DROPPEDSPREAD")] == ["0"] * 3
        assert int(source["PACKETS"]) > 0, "a worker that got nothing"
    rtp = sum(packets_of(calls).values())
    assert (int(values["RTPFRAMES"]), int(values["FRAMESSTORED"])) == (rtp, rtp), values


@pytest.mark.parametrize("workers", [1, 3])
def test_calls_on_an_interface_are_recorded_whole(port, start_daemon, tmp_path, workers):
    daemon = start_daemon(tmp_path, [f"dpdk:net_af_packet0,iface={port.inside}"], capture={"workers": workers})
    calls = generate(tmp_path, "--interface", port.outside)
    check_all_is_there(daemon, calls, workers)
    assert daemon.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_in_a_file_behind_the_pcap_port_are_recorded_whole(start_daemon, tmp_path, workers):
    """The port gives it as fast as it is asked; rings hold the whole of each stream."""
    capture = tmp_path / "calls.pcap"
    calls = generate(tmp_path, "--out", capture)
    daemon = start_daemon(tmp_path, [f"dpdk:net_pcap0,rx_pcap={capture}"],
                          capture={"workers": workers, "ring_kib": 128, "max_streams": 512})
    check_all_is_there(daemon, calls, workers)
    for recording in stored(daemon):
        assert recording["duration"] == pytest.approx(2, abs=0.2)  # the file's time, not that of reading it
    assert daemon.stop() == 0


def test_two_appliances_run_beside_each_other(port, start_daemon, tmp_path):
    daemons = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        daemons.append(start_daemon(tmp_path / name, [f"dpdk:net_af_packet0,iface={port.inside}"]))
    calls = generate(tmp_path, "--interface", port.outside)
    for daemon in daemons:
        check_all_is_there(daemon, calls, 1)
        assert daemon.stop() == 0


def test_what_passes_on_other_interfaces_is_not_taken(port, start_daemon, tmp_path):
    """The driver's socket hears all of them until it is bound."""
    other = network.Port()
    talk = subprocess.Popen([programs.SPANTAPE_GEN, "--calls", "1000", "--seconds", "60", "--rate", "100000", "--ring",
                             "30", "--interface", other.outside], stdout=subprocess.DEVNULL)
    try:
        heard = ledger.Interface(other.inside)
        programs.wait_until(lambda: heard.received > 10000, 10, "traffic beside")
        daemon = start_daemon(tmp_path, [f"dpdk:net_af_packet0,iface={port.inside},framecnt=512"])
        assert status_of(daemon)[0]["PACKETS"] == "0"
        assert daemon.stop() == 0
    finally:
        talk.kill()
        talk.wait()
        other.close()


def test_dpdk_leaves_nothing_behind_and_a_daemon_without_it_does_not_start_it(start_daemon, tmp_path):
    daemon = start_daemon(tmp_path, ["dpdk:net_null0"])
    assert not os.path.exists(f"/var/run/dpdk/spantape-{daemon.pid}")
    with open(f"/proc/{daemon.pid}/maps", encoding="ascii") as maps:
        assert "librte_net_" in maps.read(), "no drivers: is this the right way to see them?"
    assert daemon.stop() == 0
    (tmp_path / "plain").mkdir()
    plain = start_daemon(tmp_path / "plain", [])
    with open(f"/proc/{plain.pid}/maps", encoding="ascii") as maps:
        assert "librte_net_" not in maps.read()
    assert plain.stop() == 0


@pytest.mark.parametrize("source, settings, words", [
    ("dpdk:0000:ff:1f.7", (), "no such device"),
    ("dpdk:net_pcap0,rx_pcap=/nowhere.pcap", (), "/nowhere.pcap: No such file"),
    ("dpdk:net_null0", ("--set", "capture.dpdk_eal=['--rubbish']"), "DPDK could not be initialised"),
    ("dpdk:net_null0", ("--set", "capture.dpdk_huge=always", "--set", "capture.dpdk_memory_mib=1048576"), "huge pages"),
])
def test_what_cannot_be_opened_is_named(tmp_path, source, settings, words):
    done = programs.run(programs.SPANTAPED, "--set", f"storage.path={tmp_path}", "--set", "webapi.tls=", "--set",
                        f"capture.sources=['{source}']", *settings)
    assert done.returncode == 1
    assert f" error {source}: " in done.stderr and words in done.stderr
    assert "ready" not in done.stdout
