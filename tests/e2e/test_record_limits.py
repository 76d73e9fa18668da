# SPDX-License-Identifier: AGPL-3.0-or-later
"""MAXRECORDSILENCE and PRIORITY: what ends a recording while its call goes on."""

import time

import pytest

from support import audio, programs
from support.clients import Subscriber, WebClient
from support.dark import noise, recording_of

SILENCE = b"\xff"  # of G.711 mu-law


@pytest.fixture(scope="module")
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
                                recording={"channels": 2})
    appliance.start()
    yield appliance
    appliance.kill()


@pytest.fixture
def events(daemon):
    subscriber = Subscriber(daemon.ports["events"])
    yield subscriber
    subscriber.close()


def quiet_from(second):
    """Both sides loud until then, in step; behind it one of them is silent, and the other nearly."""
    loud = noise(60)
    faint = audio.encode_ulaw([(7 if i % 2 else -7) for i in range(60 * 8000)])
    return [loud[0][:second * 8000] + SILENCE * (60 - second) * 8000, loud[1][:second * 8000] + faint[second * 8000:]]


def test_silence_on_both_sides_ends_a_recording(daemon, exchange, events, xml):
    silent = exchange.call("7001", sound=quiet_from(2))
    talking = exchange.call("7002", sound=noise())
    for device in ("7001", "7002"):
        events.wait_type("RECORDINGSTARTED", device)
        assert xml.ask("CALLSTART", DEVICEID=device, MAXRECORDSILENCE=2)["RESULTMSG"].startswith("CALLSTART sent")
    update = events.wait_type("RECORDINGUPDATE", "7001", timeout_s=15)
    told = recording_of(daemon, update)
    assert told["ended_by"] == "max_record_silence"
    assert told["duration"] == pytest.approx(4, abs=0.3)
    assert len(audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", update.data["RECORDID"])).channels) == 2
    assert xml.ask("DEVICERECORDINGSTATUS", DEVICEID="7002")["DEVICE/RECORDING/STATUS"] == "recording"
    assert xml.ask("DEVICESTATUS", DEVICEID="7001").code == 20  # the call goes on
    silent.end()
    talking.end()
    events.wait_type("RECORDINGUPDATE", "7002")


def test_a_recording_of_lower_priority_gives_way(daemon, exchange, events, xml):
    calls = {device: exchange.call(device, sound=noise()) for device in ("7011", "7012")}
    for device in calls:
        events.wait_type("RECORDINGSTARTED", device)
    assert xml.ask("CALLUPDATE", DEVICEID="7011", USER1="x").code == 20
    assert xml.ask("CALLSTART", DEVICEID="7011", PRIORITY=5).code == 20
    time.sleep(1)
    calls["7013"] = exchange.call("7013", sound=noise())
    events.wait_type("CALLSTART", "7013")
    assert xml.ask("RECORDSTART", DEVICEID="7013").code == 3  # its priority is 0, too
    assert xml.ask("RECORDSTART", DEVICEID="7013", PRIORITY=3).code == 20
    update = events.wait_type("RECORDINGUPDATE", "7012")
    told = recording_of(daemon, update)
    assert told["ended_by"] == "pre_empted" and told["ledger"]["stored"] > 50
    wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", update.data["RECORDID"]))
    assert wav.duration == pytest.approx(told["duration"], abs=0.05)
    assert xml.ask("RECORDSTART", DEVICEID="7012", PRIORITY=3).code == 3
    time.sleep(1)
    for call in calls.values():
        call.end()
    for device in ("7011", "7013"):
        update = events.wait_type("RECORDINGUPDATE", device)
        assert recording_of(daemon, update)["ended_by"] == "bye"
