# SPDX-License-Identifier: AGPL-3.0-or-later
"""Calls of which nothing but the media is seen: recorded where the phone's address is known, and only there."""

import time

import pytest

from support import audio, programs
from support.clients import Subscriber, WebClient

PHONE, STRANGER, SKIPPED = "7601", "7602", "7603"
HOST = {PHONE: "10.92.0.61", STRANGER: "10.92.0.62", SKIPPED: "10.92.0.63"}
SILENT_S = 2


@pytest.fixture(scope="module")
def daemon(directory, port, exchange):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], sip={"media_timeout": SILENT_S},
                                capture={"ring_kib": 64}, schedule=[{"name": "not that one", "device": f"!{SKIPPED}"}])
    appliance.start()
    for phone in (PHONE, SKIPPED):
        exchange.register(phone, HOST[phone])
    yield appliance
    appliance.kill()


@pytest.fixture
def events(daemon):
    subscriber = Subscriber(daemon.ports["events"])
    yield subscriber
    subscriber.close()


def talk(exchange, device):
    return exchange.talk(device, {"device": HOST[device]})


def updated(events, device, count=1):
    def enough(all_events):
        mine = [e for e in all_events if (e.type, e.data.get("DEVICEID")) == ("RECORDINGUPDATE", device)]
        return mine if len(mine) >= count else None
    return events.wait_for(enough, 15, f"{count} recordings of {device}")


def recording_of(daemon, update):
    return next(r for r in programs.spantape_json("calls", "--store", daemon.store)
                if r["ident"] == int(update.data["RECORDID"]))


def test_media_of_a_known_phone_is_recorded_from_its_beginning(daemon, exchange, events):
    call, stranger = talk(exchange, PHONE), talk(exchange, STRANGER)
    events.wait_type("RECORDINGSTARTED", PHONE)
    time.sleep(3)
    for each in (call, stranger):
        each.hang_up()
    update = updated(events, PHONE)[0]
    recording = recording_of(daemon, update)
    assert (recording["ended_by"], recording["device_id"]) == ("media_timeout", PHONE)
    # Look-back held all of it until it was claimed.
    assert sorted((s["side"], s["packets"]) for s in recording["streams"]) == \
        sorted((side, len(call.sent[side])) for side in ("device", "far"))
    wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", update.data["RECORDID"]))
    assert wav.duration == pytest.approx(call.duration, abs=0.1)
    assert not [e for e in events.events if e.data.get("DEVICEID") == STRANGER]


def test_when_sip_tells_of_it_the_call_goes_on_as_what_sip_says(daemon, exchange, events):
    call = talk(exchange, PHONE)
    events.wait_type("RECORDINGSTARTED", PHONE)
    time.sleep(0.5)
    call.reinvite()
    events.wait_for(lambda all_events: sum(e.type == "RECORDINGSTARTED" for e in all_events) == 2, 5, "the second")
    time.sleep(1)
    call.end()
    before, after = (recording_of(daemon, update) for update in updated(events, PHONE, 2))
    assert [r["ended_by"] for r in (before, after)] == ["signalled", "bye"]
    assert (after["ani"], after["callid"]) == (call.caller, call.call_id)
    # Nothing is lost between the two.
    for side in ("device", "far"):
        packets = {r["ident"]: sum(s["packets"] for s in r["streams"] if s["side"] == side) for r in (before, after)}
        assert sum(packets.values()) >= len(call.sent[side]), packets


def test_neither_the_schedules_no_nor_callstop_is_passed_over(daemon, exchange, xml, events):
    skipped, call = talk(exchange, SKIPPED), talk(exchange, PHONE)
    events.wait_type("RECORDINGSTARTED", PHONE)
    assert xml.ask("CALLSTOP", DEVICEID=PHONE).code == 20
    updated(events, PHONE)
    time.sleep(14)  # workers tell of both again
    for each in (skipped, call):
        each.hang_up()
    assert [e.type for e in events.events if e.data.get("DEVICEID") == PHONE].count("CALLSTART") == 1
    assert not [e for e in events.events if e.data.get("DEVICEID") == SKIPPED]
