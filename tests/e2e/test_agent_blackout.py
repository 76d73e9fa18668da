# SPDX-License-Identifier: AGPL-3.0-or-later
"""AGENTBLACKOUTSTART and AGENTBLACKOUTSTOP: all calls of an agent, and those that begin meanwhile."""

import time

import pytest

from support import audio, programs
from support.clients import Subscriber, WebClient, XmlClient
from support.dark import Asked, check_dark, noise, recording_of, segments

SALLY, PAUL = ("7001", "7002", "7003"), "7009"


# On the disk, from which it is taken back; what is held back in memory is test_blackout's.
@pytest.fixture(scope="module")
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
                                recording={"channels": 8, "blackout_limit": 8},
                                storage={"encrypt": False})
    appliance.start()
    with XmlClient(appliance.ports["xml"]) as client:
        for first, sys_user, crm_user, phones in (("Sally", "jsmith", "crm-sally", SALLY), ("Paul", "ppaul", "", (PAUL,))):
            agent = client.ask("IMPORTUSER", ACTION="ADD", FIRSTNAME=first, LASTNAME="Agent", PASSWORD="x", STATUS="A",
                               SYS_USER=sys_user, CRM_USER=crm_user)
            assert agent.code == 20, agent
            for phone in phones:
                assert client.ask("IMPORTAGENTPHONE", ACTION="ADD", PHONEID=phone, AGENTID=agent["AGENTID"]).code == 20
    yield appliance
    appliance.kill()


@pytest.fixture
def events(daemon):
    """Those of one test: the same phones are in the next one's calls."""
    subscriber = Subscriber(daemon.ports["events"])
    yield subscriber
    subscriber.close()


def finished(call, events):
    call.end()
    return events.wait_for(lambda all_events: next(
        (e for e in all_events if e.type == "RECORDINGUPDATE" and e.data["DEVICEID"] == call.device
         and e.arrived >= call.ended), None), 15, f"RECORDINGUPDATE of {call.device}")


def check(daemon, call, update, begin, end):
    """begin and end: a time, or what was Asked."""
    recording = recording_of(daemon, update)
    [window] = recording["blackouts"]
    if isinstance(begin, Asked):
        assert begin.covers(window["from"])
        begin = window["from"]
    if isinstance(end, Asked):
        assert end.covers(window["to"])
        end = window["to"]
    wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", update.data["RECORDID"]))
    assert wav.duration == pytest.approx(call.duration, abs=0.1)
    check_dark(call, wav, segments(daemon), recording["recording_time"], begin, end)
    return recording


@pytest.mark.parametrize("offset", [0, -1])
def test_all_calls_of_an_agent_are_dark_and_nobody_elses(daemon, exchange, xml, events, offset):
    calls = [exchange.call(device, sound=noise()) for device in (*SALLY[:2], PAUL)]
    for call in calls:
        events.wait_type("RECORDINGSTARTED", call.device)
    time.sleep(2)
    start = Asked(lambda: xml.ask("AGENTBLACKOUTSTART", 124, SYS_USER="jsmith", TIMEOFFSET=offset), offset)
    assert start.answer.head() == [("REQUESTTYPE", "AGENTBLACKOUTSTART"), ("REQUESTID", "124"), ("RESULTTYPE", "API_OK"),
                                   ("RESULTCODE", "20"),
                                   ("RESULTMSG", "AGENTBLACKOUTSTART sent to all of the following cores: 1")]
    for device in SALLY[:2]:
        events.wait_type("RECORDINGPAUSED", device)
        # A call's own stop does not end its agent's blackout.
        assert xml.ask("BLACKOUTSTOP", DEVICEID=device).code == 38
    assert xml.ask("DEVICERECORDINGSTATUS", DEVICEID=PAUL)["DEVICE/RECORDING/STATUS"] == "recording"
    late = exchange.call(SALLY[2], sound=noise())  # begins in the dark
    events.wait_type("RECORDINGPAUSED", SALLY[2])
    time.sleep(1.5)
    stop = Asked(lambda: xml.ask("AGENTBLACKOUTSTOP", 125, SYS_USER="jsmith"))
    assert stop.answer.code == 20
    for device in SALLY:
        events.wait_type("RECORDINGRESUMED", device)
    time.sleep(1)
    updates = [finished(call, events) for call in (*calls, late)]
    for call, update in zip(calls[:2], updates):
        assert check(daemon, call, update, start, stop)["agent_id"] == 1
    check(daemon, late, updates[3], late.answered, stop)
    whole = recording_of(daemon, updates[2])
    assert not whole.get("blackouts") and whole["ledger"]["blacked_out"] == 0
    assert whole["ledger"]["stored"] == len(calls[2].sent["far"]) + len(calls[2].sent["device"])


def test_a_call_that_gets_its_agent_by_an_update_is_dark_from_then_on(daemon, exchange, xml, events):
    assert xml.ask("AGENTBLACKOUTSTART", CRM_USER="crm-sally").code == 20
    begin = time.time()
    call = exchange.call("7100", sound=noise())  # nobody's phone
    events.wait_type("RECORDINGSTARTED", "7100")
    time.sleep(1)
    assert xml.ask("CALLUPDATE", DEVICEID="7100", SYS_USER="jsmith").code == 20
    events.wait_type("RECORDINGPAUSED", "7100")
    time.sleep(1)
    stop = Asked(lambda: xml.ask("AGENTBLACKOUTSTOP", CRM_USER="crm-sally"))
    assert stop.answer.code == 20
    time.sleep(1)
    # What was said before it was known whose call it is, but within the blackout, is taken back.
    check(daemon, call, finished(call, events), max(begin, call.answered), stop)


def test_who_is_in_no_directory_is_known_by_his_device(daemon, exchange, xml, events):
    call = exchange.call("7200", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7200")
    time.sleep(1)
    start = Asked(lambda: xml.ask("AGENTBLACKOUTSTART", DEVICEID="7200"))
    assert start.answer.code == 20
    events.wait_type("RECORDINGPAUSED", "7200")
    time.sleep(1)
    first = finished(call, events)
    following = exchange.call("7200", sound=noise())  # his next call is dark as well
    events.wait_type("RECORDINGPAUSED", "7200", count=2)
    time.sleep(1)
    stop = Asked(lambda: xml.ask("AGENTBLACKOUTSTOP", DEVICEID="7200"))
    assert stop.answer.code == 20
    time.sleep(1)
    second = finished(following, events)
    check(daemon, call, first, start, call.ended)
    check(daemon, following, second, following.answered, stop)


def test_a_stop_that_never_comes_ends_at_the_limit(daemon, exchange, xml, events):
    call = exchange.call(PAUL, sound=noise())
    events.wait_type("RECORDINGSTARTED", PAUL)
    start = Asked(lambda: xml.ask("AGENTBLACKOUTSTART", DEVICEID=PAUL))
    assert start.answer.code == 20
    resumed = events.wait_type("RECORDINGRESUMED", PAUL, 15)
    assert resumed.arrived - start.earliest == pytest.approx(8, abs=0.5)
    assert "the blackout of agent 2 had no stop" in daemon.log()
    assert xml.ask("AGENTBLACKOUTSTOP", DEVICEID=PAUL).code == 38
    time.sleep(1)
    update = finished(call, events)
    [window] = recording_of(daemon, update)["blackouts"]
    check(daemon, call, update, start, window["from"] + 8)  # eight seconds count from when the request came in


@pytest.mark.parametrize("parameters, code", [
    ({"DEVICEID": "7999"}, 8), ({"DEVICEALIAS": "nobody's"}, 8), ({"SYS_USER": "nobody"}, 24), ({"CRM_USER": "nobody"}, 24),
    ({}, 26), ({"SYS_USER": "jsmith", "TIMEOFFSET": "soon"}, 16)])
def test_who_is_not_known_is_told_so(xml, parameters, code):
    for function in ("AGENTBLACKOUTSTART", "AGENTBLACKOUTSTOP"):
        assert xml.ask(function, **parameters).code == code, (function, parameters)


def test_a_stop_without_a_start_is_told_so(xml):
    answer = xml.ask("AGENTBLACKOUTSTOP", SYS_USER="ppaul")
    assert (answer.code, answer["RESULTTYPE"]) == (38, "API_BLACKOUT_INVALID_STATE")


def test_blackouts_of_agents_can_be_switched_off(start_daemon, port, tmp_path):
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"],
                          api={"xml": "127.0.0.1:0", "events": "127.0.0.1:0", "agent_blackout": False})
    with XmlClient(daemon.ports["xml"]) as client:
        answer = client.ask("AGENTBLACKOUTSTART", SYS_USER="jsmith")
        assert (answer.code, answer["RESULTTYPE"]) == (44, "API_COMMAND_NOT_ALLOWED")
