# SPDX-License-Identifier: AGPL-3.0-or-later
"""BLACKOUTSTART and BLACKOUTSTOP on real calls: what is dark in the export, what is not, and what lies on the disk."""

import time

import pytest

from support import audio, programs
from support.dark import Asked, check_dark, recording_of, segments

HOLD_BACK_S = 4


# With the newest seconds in memory only, and with all of them on the disk, from which they are taken back: in the clear,
# where raw bytes can be looked for, and encrypted, where the keys are used to look.
@pytest.fixture(scope="module", params=["held_back", "on_disk", "on_disk_encrypted"])
def daemon(request, directory, port):
    own = directory / request.param
    own.mkdir()
    hold_back = HOLD_BACK_S if request.param == "held_back" else 0
    appliance = programs.Daemon(own, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
                                recording={"channels": 8, "hold_back": hold_back, "blackout_limit": 3},
                                storage={"encrypt": request.param == "on_disk_encrypted"})
    appliance.start()
    yield appliance
    appliance.kill()


def finished(call, events):
    call.end()
    return events.wait_type("RECORDINGUPDATE", call.device, HOLD_BACK_S + 10)


@pytest.mark.parametrize("start_offset, stop_offset", [(0, 0), (-2, 0), (0, -1), (-1, 1), (1, 1)])
def test_a_blackout_is_dark_exactly_between_its_edges(request, noisy, daemon, xml, web, events, start_offset,
                                                      stop_offset):
    if stop_offset < 0 and "on_disk" in request.node.name:
        pytest.skip("what was left out does not come back, unless it was held back")
    device = f"71{abs(start_offset)}{abs(stop_offset)}{int(start_offset < 0)}{int(stop_offset < 0)}"
    call = noisy.call(device)
    events.wait_type("RECORDINGSTARTED", device)
    time.sleep(3)
    start = Asked(lambda: xml.ask("BLACKOUTSTART", 124, DEVICEID=device, TIMEOFFSET=start_offset), start_offset)
    assert start.answer.head() == [("REQUESTTYPE", "BLACKOUTSTART"), ("REQUESTID", "124"), ("RESULTTYPE", "API_OK"),
                                   ("RESULTCODE", "20"),
                                   ("RESULTMSG", "BLACKOUTSTART sent to all of the following cores: 1")]
    paused = events.wait_type("RECORDINGPAUSED", device)
    assert (paused.event_class, paused.module, paused.data["ERRORREASON"]) == ("RECORD", "Api", "NONE")
    status = xml.ask("DEVICERECORDINGSTATUS", DEVICEID=device)
    assert status["DEVICE/RECORDING/STATUS"] == "recordpaused"
    assert "<STATE>Waiting</STATE>" in xml.ask("CHANNELS").text
    time.sleep(2)
    stop = Asked(lambda: xml.ask("BLACKOUTSTOP", 125, DEVICEID=device, TIMEOFFSET=stop_offset), stop_offset)
    assert stop.answer.code == 20
    events.wait_type("RECORDINGRESUMED", device)
    assert xml.ask("DEVICERECORDINGSTATUS", DEVICEID=device)["DEVICE/RECORDING/STATUS"] == "recording"
    time.sleep(1.5)
    update = finished(call, events)
    recording = recording_of(daemon, update)
    wav = audio.Wav(web.export("ident", update.data["RECORDID"]))
    assert wav.duration == pytest.approx(call.duration, abs=0.1)  # its length is the call's
    [window] = recording["blackouts"]
    begin, end = window["from"], window["to"]
    assert start.covers(begin) and stop.covers(end)
    check_dark(call, wav, segments(daemon), recording["recording_time"], begin, end)
    dark = recording["ledger"]["blacked_out"]
    assert dark == pytest.approx(sum(begin <= p.time < end for side in call.sent.values() for p in side), abs=4)
    assert recording["ledger"]["stored"] + dark == len(call.sent["far"]) + len(call.sent["device"])


def test_a_stop_that_never_comes_ends_at_the_limit(noisy, daemon, xml, web, events):
    call = noisy.call("7201")
    events.wait_type("RECORDINGSTARTED", "7201")
    time.sleep(1)
    start = Asked(lambda: xml.ask("BLACKOUTSTART", DEVICEID="7201"))
    assert start.answer.code == 20
    resumed = events.wait_type("RECORDINGRESUMED", "7201")
    assert resumed.arrived - start.earliest == pytest.approx(3, abs=0.5)
    assert "had no stop" in daemon.log()
    answer = xml.ask("BLACKOUTSTOP", DEVICEID="7201")
    assert (answer.code, answer["RESULTTYPE"]) == (38, "API_BLACKOUT_INVALID_STATE")
    time.sleep(1)
    update = finished(call, events)
    wav = audio.Wav(web.export("ident", update.data["RECORDID"]))
    recording = recording_of(daemon, update)
    [window] = recording["blackouts"]
    assert start.covers(window["from"])  # three seconds count from there
    check_dark(call, wav, segments(daemon), recording["recording_time"], window["from"], window["from"] + 3)


def test_a_call_that_ends_in_a_blackout_is_dark_to_its_end(noisy, daemon, xml, web, events):
    call = noisy.call("7202")
    events.wait_type("RECORDINGSTARTED", "7202")
    time.sleep(1.5)
    start = Asked(lambda: xml.ask("BLACKOUTSTART", DEVICEID="7202"))
    assert start.answer.code == 20
    time.sleep(1)
    update = finished(call, events)
    wav = audio.Wav(web.export("ident", update.data["RECORDID"]))
    assert wav.duration == pytest.approx(call.duration, abs=0.1)
    recording = recording_of(daemon, update)
    [window] = recording["blackouts"]
    assert start.covers(window["from"])
    check_dark(call, wav, segments(daemon), recording["recording_time"], window["from"], call.ended)


def test_who_is_not_in_a_call_or_not_known_is_told_so(xml, events, noisy):
    for parameters, code in [({"DEVICEID": "7999"}, 8), ({"DEVICEALIAS": "nobody's"}, 8), ({"SYS_USER": "nobody"}, 24),
                             ({"CRM_USER": "nobody"}, 24), ({}, 26), ({"DEVICEID": "7999", "TIMEOFFSET": "soon"}, 16)]:
        for function in ("BLACKOUTSTART", "BLACKOUTSTOP"):
            assert xml.ask(function, **parameters).code == code, (function, parameters)
    call = noisy.call("7203")
    events.wait_type("RECORDINGSTARTED", "7203")
    finished(call, events)
    assert xml.ask("BLACKOUTSTART", DEVICEID="7203").code == 7


@pytest.mark.parametrize("name", ["DEVICEALIAS", "SYS_USER", "CRM_USER"])
def test_the_call_is_found_by_every_identifier(xml, events, noisy, name):
    device = {"DEVICEALIAS": "7301", "SYS_USER": "7302", "CRM_USER": "7303"}[name]
    value = f"{name.lower()}-{device}"
    call = noisy.call(device)
    events.wait_type("RECORDINGSTARTED", device)
    instance = xml.ask("DEVICESTATUS", DEVICEID=device)["DEVICES/DEVICE/RECORDING/CALLINSTANCE"]
    assert xml.ask("CALLUPDATE", DEVICEID=device, **{name: value}).code == 20
    assert xml.ask("BLACKOUTSTART", **{name: value, "CALLINSTANCE": instance}).code == 20
    events.wait_type("RECORDINGPAUSED", device)
    assert xml.ask("BLACKOUTSTOP", **{name: value, "CALLINSTANCE": "0"}).code == 7
    assert xml.ask("BLACKOUTSTOP", **{name: value}).code == 20
    events.wait_type("RECORDINGRESUMED", device)
    finished(call, events)
