# SPDX-License-Identifier: AGPL-3.0-or-later
"""`spantape assurance`: nothing on a healthy system; else each call without a full recording, with its reason."""

import json
import time
import urllib.request

import pytest

from support import programs
from support.clients import Subscriber


@pytest.fixture(scope="module")
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
                                recording={"channels": 2}, schedule=[{"name": "ours", "device": "70*"}])
    appliance.start()
    yield appliance
    appliance.kill()


@pytest.fixture
def events(daemon):
    subscriber = Subscriber(daemon.ports["events"])
    yield subscriber
    subscriber.close()


def assurance(daemon, *arguments):
    done = programs.run(programs.SPANTAPE, "assurance", "--json",
                        *(arguments or ("--server", f"127.0.0.1:{daemon.ports['xml']}")))
    told = json.loads(done.stdout)
    assert done.returncode == (1 if told["calls"] else 0)
    return told


def test_a_healthy_system_lacks_nothing(daemon, exchange, events):
    calls = [exchange.call(device) for device in ("7001", "7002")]
    time.sleep(1)
    for call in calls:
        call.end()
    skipped = exchange.call("7100")
    skipped.end()
    for call in calls:
        events.wait_type("RECORDINGUPDATE", call.device)
    events.wait_type("CALLSTOP", "7100")
    told = assurance(daemon)
    assert (told["whole"], told["short"], told["bydecision"], told["calls"]) == (2, 0, 1, [])
    assert assurance(daemon, "--store", daemon.store)["whole"] == 2


def test_each_call_that_lacks_something_is_named(daemon, exchange, events, xml):
    before = assurance(daemon)
    calls = {device: exchange.call(device) for device in ("7003", "7004")}
    for device in calls:
        events.wait_type("RECORDINGSTARTED", device)
    calls["7005"] = exchange.call("7005")  # there is no channel for it
    events.wait_type("CALLSTART", "7005")
    time.sleep(0.5)
    calls["7003"].count += 5  # 100 ms that were lost on the way
    time.sleep(1)
    for call in calls.values():
        call.end()
    update = {device: events.wait_type("RECORDINGUPDATE", device) for device in ("7003", "7004")}
    told = assurance(daemon)
    new = {call["deviceid"]: call for call in told["calls"]}
    assert told["short"] - before["short"] == 2, told
    assert new["7005"]["lacks"] == "no_channel" and new["7005"]["recordid"] == "0"
    assert new["7003"]["lacks"] == "lost_before" and new["7003"]["recordid"] == update["7003"].data["RECORDID"]
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.ports['webapi']}/metrics", timeout=10) as page:
        text = page.read().decode()
    assert 'spantape_assurance_shortfalls_total{reason="no_channel"} 1' in text
    assert 'spantape_assurance_total{verdict="short"} 2' in text
    assert xml.ask("APPLIANCESTATUS")["RECORDINGSSHORT"] == "2"


def test_a_recording_that_a_kill_cut_is_named_by_the_store(daemon, exchange, events):
    call = exchange.call("7006")
    events.wait_type("RECORDINGSTARTED", "7006")
    time.sleep(1.5)
    daemon.kill()
    call.end()
    daemon.start()
    told = assurance(daemon, "--store", daemon.store)
    assert next(c for c in told["calls"] if c["deviceid"] == "7006")["lacks"] == "interrupted"
