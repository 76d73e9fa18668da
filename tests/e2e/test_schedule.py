# SPDX-License-Identifier: AGPL-3.0-or-later
"""The schedule: which calls are recorded, changed while the daemon runs, and explained."""

import signal
import time
from contextlib import closing

import pytest

from support import programs
from support.clients import Subscriber, XmlClient
from support.dark import noise, segments

RULES = [{"name": "never", "dnis": "7911", "decision": "block"},
         {"name": "every second", "device": "72*", "percent": 50},
         {"name": "sales", "group": "Sales*", "priority": 7, "keep_days": 30},
         {"name": "desk", "device": "7001,7002", "ani": "!555000*"}]


@pytest.fixture(scope="module")
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]}, schedule=RULES,
                                storage={"encrypt": False})
    appliance.start()
    yield appliance
    appliance.kill()


@pytest.fixture
def events(daemon):
    with closing(Subscriber(daemon.ports["events"])) as subscriber:
        yield subscriber


def cli(daemon, command, *arguments):
    return programs.spantape_json(command, *arguments, "--json", "--server", f"127.0.0.1:{daemon.ports['xml']}")


def recordings(daemon):
    return programs.spantape_json("calls", "--store", daemon.store)


def test_a_call_that_no_rule_wants_is_seen_and_nothing_of_it_stored(daemon, exchange, events, xml):
    call = exchange.call("7001", caller="5550001", sound=noise())
    events.wait_type("CALLSTART", "7001")
    time.sleep(1)
    assert xml.ask("DEVICERECORDINGSTATUS", DEVICEID="7001")["DEVICE/RECORDING/STATUS"] == "notrecording"
    told = cli(daemon, "explain", "--device", "7001")
    assert told["DECISION"] == "skip" and told["DECIDINGRULE"] == ""
    assert told["RULES"] == [
        {"NAME": "never", "VERDICT": "dnis '7001' is not 7911"},
        {"NAME": "every second", "VERDICT": "device '7001' is not 72*"},
        {"NAME": "sales", "VERDICT": "group none is not Sales*"},
        {"NAME": "desk", "VERDICT": "ani '5550001' is not !555000*"}]
    assert xml.ask("CALLSTART", DEVICEID="7001").code == 9
    call.end()
    events.wait_type("CALLSTOP", "7001")
    time.sleep(1.5)
    disk = segments(daemon)
    assert not any(packet.payload in disk for side in call.sent.values() for packet in side)


def test_one_that_a_rule_wants_is_recorded_whole(daemon, exchange, events):
    call = exchange.call("7002", caller="5551234", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7002")
    time.sleep(1)
    call.end()
    ident = int(events.wait_type("RECORDINGUPDATE", "7002").data["RECORDID"])
    recording = next(r for r in recordings(daemon) if r["ident"] == ident)
    assert recording["schedule_rule"] == "desk"
    assert recording["ledger"]["stored"] == sum(len(side) for side in call.sent.values())
    told = cli(daemon, "explain", str(ident))
    assert told["DECIDINGRULE"] == "desk" and told["OUTCOMES"] == [f"recorded as {ident}"]


def test_callstart_and_recordstart_ask_for_a_call(daemon, exchange, events, xml):
    calls = {device: exchange.call(device, caller="5550002", sound=noise()) for device in ("7003", "7004", "7911")}
    for device in calls:
        events.wait_type("CALLSTART", device)
    assert xml.ask("CALLSTART", DEVICEID="7003", GROUP="Service").code == 9
    assert xml.ask("CALLSTART", DEVICEID="7003", GROUP="Sales North").code == 20
    assert xml.ask("RECORDSTART", DEVICEID="7004").code == 20
    refused = xml.ask("RECORDSTART", DEVICEID="7911")
    assert (refused.code, refused["RESULTTYPE"]) == (35, "API_ERROR_BLOCKED_RECORDING_FILTER")
    assert xml.ask("CALLSTART", DEVICEID="7911", GROUP="Sales").code == 35
    for device in ("7003", "7004"):
        events.wait_type("RECORDINGSTARTED", device)
    time.sleep(1)
    for call in calls.values():
        call.end()
    stored = {device: events.wait_type("RECORDINGUPDATE", device) for device in ("7003", "7004")}
    time.sleep(1)
    disk = segments(daemon)
    for device, call in calls.items():
        late = [p for side in call.sent.values() for p in side if p.time > call.answered + 0.7][:-4]
        assert all((packet.payload in disk) == (device != "7911") for packet in late), device
    sales = next(r for r in recordings(daemon) if r["ident"] == int(stored["7003"].data["RECORDID"]))
    assert (sales["schedule_rule"], sales["priority"], sales["keepdays"]) == ("sales", 7, 30)


def test_a_share_of_calls_is_kept(daemon, exchange, events):
    for number in range(8):
        call = exchange.call(f"72{number:02}")
        events.wait_type("CALLSTART", call.device)
        call.end()
        events.wait_type("CALLSTOP", call.device)
    assert sum(event.type == "RECORDINGSTARTED" for event in events.events) in (3, 4, 5)


def test_rules_change_while_it_runs_and_outlive_a_restart(daemon, exchange):
    assert [r["NAME"] for r in cli(daemon, "schedule")] == [rule["name"] for rule in RULES]
    cli(daemon, "schedule", "add", "all of 73", "device=73*", "hours=00:00-24:00", "zone=Europe/Berlin", "--at", "1")
    cli(daemon, "schedule", "modify", "sales", "group=", "user1=gold")
    cli(daemon, "schedule", "move", "sales", "--at", "1")
    cli(daemon, "schedule", "delete", "desk")
    daemon.kill()
    daemon.start()
    rules = cli(daemon, "schedule")
    assert [r["NAME"] for r in rules] == ["sales", "all of 73", "never", "every second"]
    assert rules[0] == {"POSITION": "1", "NAME": "sales", "PRIORITY": "7", "KEEPDAYS": "30", "USER1": "gold"}
    with closing(Subscriber(daemon.ports["events"])) as events:
        call = exchange.call("7300")
        events.wait_type("RECORDINGSTARTED", "7300")
        call.end()
        events.wait_type("RECORDINGUPDATE", "7300")
    with XmlClient(daemon.ports["xml"]) as client:
        for wrong, why in (({"ACTION": "ADD", "NAME": "x", "DEVICE": "/(/"}, "rule 'x': device is no regular"),
                           ({"ACTION": "ADD", "NAME": "sales"}, "there is a rule 'sales'"),
                           ({"ACTION": "MODIFY", "NAME": "y"}, "there is no rule 'y'"),
                           ({"ACTION": "ADD", "NAME": "x", "PERCENT": "200"}, "percent must be from 0 to 100"),
                           ({"ACTION": "MOVE", "NAME": "sales"}, "POSITION is required")):
            answer = client.ask("SCHEDULESET", **wrong)
            assert answer.code == 16 and why in answer["RESULTMSG"], answer
    assert [r["NAME"] for r in cli(daemon, "schedule", "reset")] == [rule["name"] for rule in RULES]
    audit = programs.run(programs.SPANTAPE, "audit", "--store", daemon.store).stdout
    assert audit.count("SCHEDULESET") >= 5


def test_sighup_takes_the_files_rules_over_and_refuses_wrong_ones(daemon):
    with open(daemon.config_path, encoding="utf-8") as file:
        text = file.read()
    with open(daemon.config_path, "w", encoding="utf-8") as file:
        file.write(text + "[[schedule]]\nname = \"added\"\ndays = \"sat\"\n")
    daemon.process.send_signal(signal.SIGHUP)
    programs.wait_until(lambda: cli(daemon, "schedule")[-1]["NAME"] == "added", 5, "the added rule")
    with open(daemon.config_path, "w", encoding="utf-8") as file:
        file.write(text + "[[schedule]]\nname = \"wrong\"\ndays = \"someday\"\n")
    daemon.process.send_signal(signal.SIGHUP)
    programs.wait_until(lambda: "days must be days" in daemon.log(), 5, "the refusal")
    assert cli(daemon, "schedule")[-1]["NAME"] == "added"
