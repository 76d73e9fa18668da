# SPDX-License-Identifier: AGPL-3.0-or-later
"""Calls as call centres have them: which recordings come of each, on which device, and what is in them."""

import time

import pytest

from support import audio, programs
from support.clients import Subscriber, WebClient
from support.dark import noise

TRUNK, PBX, DESK, OTHER_DESK = "198.51.100.7", "10.92.0.1", "10.92.0.20", "10.92.0.21"


@pytest.fixture(scope="module")
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]})
    appliance.start()
    yield appliance
    appliance.kill()


@pytest.fixture
def events(daemon):
    subscriber = Subscriber(daemon.ports["events"])
    yield subscriber
    subscriber.close()


def recordings(daemon, device):
    return [r for r in programs.spantape_json("calls", "--store", daemon.store) if r["device_id"] == device]


def check_audio(daemon, recording, call, sides=("far", "device")):
    """All packets of the call are heard, each on its side, and the file is as long as the recording."""
    wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", recording["ident"]))
    assert wav.duration == pytest.approx(recording["duration"], abs=0.05)
    for side in sides:
        packets = call.sent[side][:-1]
        matched, compared, missed = audio.match_packets(wav, side, packets, recording["recording_time"], jitter_s=0.1)
        assert compared > 20 and matched == compared, (side, len(missed))


def test_the_legs_of_a_b2bua_are_one_recording_of_the_phones_leg(daemon, exchange, events):
    legs = [exchange.call("7001", answer=False, sound=noise(), hosts={"far": TRUNK, "device": PBX}),
            exchange.call("7001", answer=False, sound=noise(), hosts={"far": PBX, "device": DESK})]
    for leg in reversed(legs):
        leg.answer()
    events.wait_type("RECORDINGSTARTED", "7001")
    time.sleep(1.5)
    for leg in legs:
        leg.end()
    events.wait_type("RECORDINGUPDATE", "7001")
    time.sleep(1)
    found = recordings(daemon, "7001")
    assert len(found) == 1 and found[0]["callid"].startswith(legs[1].call_id[:10])
    assert {stream["source"].split(":")[0] for stream in found[0]["streams"]} == {PBX, DESK}
    check_audio(daemon, found[0], legs[1])


def test_a_blind_transfer_is_a_recording_on_each_phone(daemon, exchange, events):
    first = exchange.call("7010", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7010")
    time.sleep(1)
    first.request("device", "REFER", 2, f"Refer-To: <sip:7011@{PBX}>", f"Referred-By: <sip:7010@{PBX}>")
    second = exchange.call("7011", sound=noise(), hosts={"device": OTHER_DESK},
                           headers=[f"Referred-By: <sip:7010@{PBX}>"])
    first.end()
    events.wait_type("RECORDINGUPDATE", "7010")
    time.sleep(1)
    second.end()
    events.wait_type("RECORDINGUPDATE", "7011")
    for device, call in (("7010", first), ("7011", second)):
        [recording] = recordings(daemon, device)
        check_audio(daemon, recording, call)


def test_an_attended_transfer_is_recorded_in_its_three_parts(daemon, exchange, events):
    customer = exchange.call("7020", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7020")
    consultation = exchange.call("7021", caller="7020", sound=noise(), hosts={"far": DESK, "device": OTHER_DESK})
    events.wait_type("RECORDINGSTARTED", "7021")
    time.sleep(1)
    replaces = f"{consultation.call_id};to-tag=t{consultation.call_id};from-tag=f{consultation.call_id}"
    customer.request("device", "REFER", 2, f"Refer-To: <sip:7021@{PBX}?Replaces={replaces}>")
    taken = exchange.call("7021", sound=noise(), hosts={"device": OTHER_DESK}, headers=[f"Replaces: {replaces}"])
    consultation.end()
    customer.end()
    time.sleep(1)
    taken.end()
    events.wait_type("RECORDINGUPDATE", "7021", count=2)
    events.wait_type("RECORDINGUPDATE", "7020", count=2)
    by_call = {(r["device_id"], r["ani"]): r for device in ("7020", "7021") for r in recordings(daemon, device)}
    assert set(by_call) == {("7020", "5551234"), ("7020", "7020"), ("7021", "7020"), ("7021", "5551234")}
    check_audio(daemon, by_call["7020", "5551234"], customer)
    check_audio(daemon, by_call["7021", "7020"], consultation)
    check_audio(daemon, by_call["7021", "5551234"], taken)


def test_a_re_invite_to_another_address_goes_on_in_the_same_recording(daemon, exchange, events):
    call = exchange.call("7030", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7030")
    time.sleep(1)
    call.move("device", OTHER_DESK)
    time.sleep(1)
    call.end()
    events.wait_type("RECORDINGUPDATE", "7030")
    [recording] = recordings(daemon, "7030")
    assert recording["ledger"]["stored"] == sum(map(len, call.sent.values()))
    check_audio(daemon, recording, call)


def test_two_phones_of_one_extension_talk_at_once(daemon, exchange, events):
    calls = [exchange.call("7040", caller=caller, sound=noise(), hosts={"device": desk})
             for caller, desk in (("5550001", DESK), ("5550002", OTHER_DESK))]
    time.sleep(1.5)
    for call in calls:
        call.end()
    events.wait_type("RECORDINGUPDATE", "7040", count=2)
    found = {r["ani"]: r for r in recordings(daemon, "7040")}
    for call in calls:
        check_audio(daemon, found[call.caller], call)


def test_the_api_announces_a_call_and_sip_shows_it(daemon, exchange, events, xml):
    assert xml.ask("CALLSTART", DEVICEID="7050", CALLINSTANCE="cti-1", USER1="gold", GROUP="Sales").code == 20
    call = exchange.call("7050", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7050")
    time.sleep(1)
    call.end()
    events.wait_type("RECORDINGUPDATE", "7050")
    [recording] = recordings(daemon, "7050")
    assert (recording["callinstance"], recording["user1"], recording["sgroup"]) == ("cti-1", "gold", "Sales")
    check_audio(daemon, recording, call)


def test_an_invite_that_is_sent_again_with_a_password_is_one_call(daemon, exchange, events):
    call = exchange.call("7060", answer=False, sound=noise())
    call.challenge()
    call.answer()
    events.wait_type("RECORDINGSTARTED", "7060")
    time.sleep(1)
    call.end()
    events.wait_type("RECORDINGUPDATE", "7060")
    [recording] = recordings(daemon, "7060")
    check_audio(daemon, recording, call)


def test_a_call_whose_beginning_was_not_seen_is_recorded_from_its_re_invite(daemon, exchange, events):
    call = exchange.call("7070", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7070")
    daemon.kill()
    daemon.start()
    subscriber = Subscriber(daemon.ports["events"])
    call.reinvite()
    begun = time.time()
    subscriber.wait_type("RECORDINGSTARTED", "7070")
    time.sleep(1)
    call.end()
    subscriber.wait_type("RECORDINGUPDATE", "7070")
    subscriber.close()
    newest = recordings(daemon, "7070")[0]
    for side in call.sent:
        call.sent[side] = [packet for packet in call.sent[side] if packet.time > begun + 0.2]
    check_audio(daemon, newest, call)


def finished(events, call):
    time.sleep(1)
    call.end()
    events.wait_type("RECORDINGUPDATE", call.device)


def test_of_a_forked_call_the_phone_that_answers_is_recorded_once(daemon, exchange, events):
    call = exchange.call("7110", answer=False, sound=noise())
    call.also_rings(OTHER_DESK)
    call.answer()
    call.gives_up(OTHER_DESK)
    events.wait_type("RECORDINGSTARTED", "7110")
    finished(events, call)
    [recording] = recordings(daemon, "7110")
    assert recording["ended_by"] == "bye"
    check_audio(daemon, recording, call)


def test_a_redirected_call_is_recorded_where_it_is_answered(daemon, exchange, events):
    call = exchange.call("7120", answer=False, sound=noise())
    call.redirect(OTHER_DESK)
    call.answer()
    events.wait_type("RECORDINGSTARTED", "7120")
    finished(events, call)
    [recording] = recordings(daemon, "7120")
    assert OTHER_DESK in recording["streams"][0]["source"] + recording["streams"][0]["destination"]
    check_audio(daemon, recording, call)


def test_a_conference_goes_on_in_the_recording_of_each_of_its_calls(daemon, exchange, events):
    calls = [exchange.call(device, sound=noise(), hosts={"device": desk})
             for device, desk in (("7130", DESK), ("7131", OTHER_DESK))]
    time.sleep(1)
    for call in calls:
        call.move("far", "10.92.0.99")  # the bridge
    time.sleep(1)
    for call in calls:
        call.end()
    for call in calls:
        events.wait_type("RECORDINGUPDATE", call.device)
        [recording] = recordings(daemon, call.device)
        check_audio(daemon, recording, call)


def test_two_calls_at_once_on_one_phone_are_two_recordings(daemon, exchange, events, xml):
    calls = [exchange.call("7140", caller=caller, sound=noise()) for caller in ("5550003", "5550004")]
    events.wait_type("RECORDINGSTARTED", "7140", count=2)
    status = xml.ask("DEVICESTATUS", DEVICEID="7140")
    assert len(list(status.root.iter("CALLINSTANCE"))) >= 1
    time.sleep(1)
    for call in calls:
        call.end()
    events.wait_type("RECORDINGUPDATE", "7140", count=2)
    found = {r["ani"]: r for r in recordings(daemon, "7140")}
    for call in calls:
        check_audio(daemon, found[call.caller], call)


def test_media_of_a_phone_behind_nat_is_the_calls(daemon, exchange, events):
    call = exchange.call("7150", answer=False, sound=noise(), hosts={"device": "192.168.17.5"})
    call.nat = ("203.0.113.9", 61000)
    call.answer()
    events.wait_type("RECORDINGSTARTED", "7150")
    finished(events, call)
    [recording] = recordings(daemon, "7150")
    assert {s["side"] for s in recording["streams"]} == {"far", "device"}
    assert recording["ledger"]["stored"] == sum(map(len, call.sent.values()))
    check_audio(daemon, recording, call)


def test_an_agent_comes_to_a_phone_and_leaves_it_while_it_talks(daemon, exchange, events, xml):
    agent = xml.ask("IMPORTUSER", ACTION="ADD", FIRSTNAME="Anna", LASTNAME="Late", PASSWORD="x", STATUS="A",
                    SYS_USER="anna-late")["AGENTID"]
    call = exchange.call("7160", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7160")
    assert xml.ask("IMPORTAGENTPHONE", ACTION="ADD", PHONEID="7160", AGENTID=agent).code == 20
    # It talks on; and what he is told not to have recorded is not.
    assert xml.ask("AGENTBLACKOUTSTART", SYS_USER="anna-late").code == 20
    events.wait_type("RECORDINGPAUSED", "7160")
    assert xml.ask("AGENTBLACKOUTSTOP", SYS_USER="anna-late").code == 20
    events.wait_type("RECORDINGRESUMED", "7160")
    finished(events, call)
    during = exchange.call("7160", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7160", count=2)
    assert xml.ask("IMPORTAGENTPHONE", ACTION="DELETE", PHONEID="7160", AGENTID=agent).code == 20
    time.sleep(1)
    during.end()
    events.wait_type("RECORDINGUPDATE", "7160", count=2)
    after = exchange.call("7160", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7160", count=3)
    finished(events, after)
    events.wait_type("RECORDINGUPDATE", "7160", count=3)
    by_call = {r["callid"]: r for r in recordings(daemon, "7160")}
    assert [by_call[each.call_id].get("agent_id", 0) for each in (call, during, after)] == [0, int(agent), 0]
    for each in (during, after):
        check_audio(daemon, by_call[each.call_id], each)
