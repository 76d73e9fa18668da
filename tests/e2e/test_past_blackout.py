# SPDX-License-Identifier: AGPL-3.0-or-later
"""AGENTBLACKOUTSTART with an offset that reaches back into a call of the agent that has ended: just now, stored, copied
to an archive, or moved there."""

import math
import time

import pytest

from support import audio, programs
from support.archives import archived
from support.clients import Subscriber, WebClient, XmlClient
from support.dark import Asked, check_dark, noise, recording_of, segments, split

SALLY, PAUL = "7001", "7002"
ACTION = 7
TALK_S, DARK_S = 4, 1.5  # of it, the last


def add_agent(client, name, phone):
    agent = client.ask("IMPORTUSER", ACTION="ADD", FIRSTNAME=name, LASTNAME="Agent", PASSWORD="x", STATUS="A", SYS_USER=name)
    assert agent.code == 20, agent
    assert client.ask("IMPORTAGENTPHONE", ACTION="ADD", PHONEID=phone, AGENTID=agent["AGENTID"]).code == 20


@pytest.fixture
def start(tmp_path, port):
    """start(mode of the archive action, or None) -> a daemon that knows Sally and Paul, and its events."""
    started = []

    def begin(mode):
        target = tmp_path / "archive"
        target.mkdir()
        more = {} if mode is None else {
            "recording": {"channels": 8, "archive_action": ACTION},
            "archive": [{"number": ACTION, "name": "year", "path": str(target), "mode": mode}]}
        daemon = programs.Daemon(tmp_path, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
                                 storage={"encrypt": False}, **more)
        started.append(daemon)
        daemon.start()
        with XmlClient(daemon.ports["xml"]) as client:
            add_agent(client, "sally", SALLY)
            add_agent(client, "paul", PAUL)
        events = Subscriber(daemon.ports["events"])
        started.insert(0, events)
        return daemon, events, target

    yield begin
    for each in started:
        each.close() if isinstance(each, Subscriber) else each.kill()


def update_of(call, events):
    return events.wait_for(lambda all_events: next(
        (e for e in all_events if e.type == "RECORDINGUPDATE" and e.data["DEVICEID"] == call.device), None), 15,
        f"RECORDINGUPDATE of {call.device}")


def talk(exchange, events):
    """Calls of both, ended; Sally's phone is the first."""
    calls = [exchange.call(device, sound=noise()) for device in (SALLY, PAUL)]
    for call in calls:
        events.wait_type("RECORDINGSTARTED", call.device)
    time.sleep(TALK_S)
    for call in calls[::-1]:
        call.end()
    return calls


def black_out(daemon, call, **who):
    """The last DARK_S of a call, and what comes; as Asked."""
    with XmlClient(daemon.ports["xml"]) as client:
        offset = -math.ceil(time.time() - (call.ended - DARK_S))
        start = Asked(lambda: client.ask("AGENTBLACKOUTSTART", TIMEOFFSET=offset, **(who or {"SYS_USER": "sally"})),
                      offset)
        assert start.answer.code == 20, start.answer
    return start


def on_disk(packets, disk):
    return [packet for packet in packets if packet.payload in disk]


def check_copy(path, call, recording, begin):
    wav = audio.Wav(path)
    assert wav.duration == pytest.approx(recording["duration"], abs=0.001)
    for side in ("far", "device"):
        channel = wav.channels[0 if side == "device" else 1]
        at = max(0, round((begin - recording["recording_time"]) * wav.rate))
        assert not any(channel[2 * at:]), f"{side} is not silent in the copy"
        outside, _ = split(call, side, begin - 0.6, call.ended + 1)
        matched, compared, _ = audio.match_packets(wav, side, outside, recording["recording_time"], jitter_s=0.1)
        assert compared > 20 and matched == compared


def check_logs(daemon, what):
    assert daemon.stop() == 0
    done = programs.run(programs.SPANTAPE, "verify", daemon.store)
    assert done.returncode == 0, done.stdout + done.stderr
    assert programs.run(programs.SPANTAPE, "audit", "--store", daemon.store, "--check").returncode == 0
    return programs.spantape_json("audit", "--store", daemon.store, "--what", what)


@pytest.mark.parametrize("when", ["just now", "stored"])
def test_it_reaches_what_was_recorded(start, exchange, when):
    daemon, events, _ = start(None)
    call, pauls = talk(exchange, events)
    if when == "stored":
        update_of(call, events)
    start = black_out(daemon, call)
    disk = segments(daemon)  # what was answered is true
    for side in ("far", "device"):
        _, inside = split(call, side, start.latest, call.ended)
        assert len(inside) > 30 and not on_disk(inside, disk)
    update = update_of(call, events)
    recording = recording_of(daemon, update)
    [window] = recording["blackouts"]
    begin = window["from"]
    assert start.covers(begin)
    web = WebClient(daemon.ports["webapi"])
    check_dark(call, audio.Wav(web.export("ident", update.data["RECORDID"])), segments(daemon),
               recording["recording_time"], begin, call.ended)
    assert window["to"] == pytest.approx(recording["recording_time"] + recording["duration"], abs=0.05)
    assert recording["ledger"]["blacked_out"] >= sum(len(split(call, side, begin, call.ended)[1]) for side in ("far", "device"))
    whole = recording_of(daemon, update_of(pauls, events))
    assert not whole["blackouts"] and whole["ledger"]["blacked_out"] == 0
    assert whole["ledger"]["stored"] == len(pauls.sent["far"]) + len(pauls.sent["device"])
    # His next call is dark from its beginning.
    following = exchange.call(SALLY, sound=noise())
    events.wait_type("RECORDINGPAUSED", SALLY)
    time.sleep(1)
    following.end()
    assert not on_disk(following.sent["device"], segments(daemon))
    assert check_logs(daemon, "redaction")


def test_who_is_in_no_directory_is_known_by_the_device_of_the_call(start, exchange):
    daemon, events, _ = start(None)
    call = exchange.call("7300", sound=noise())
    events.wait_type("RECORDINGSTARTED", "7300")
    time.sleep(TALK_S)
    call.end()
    update = update_of(call, events)
    start = black_out(daemon, call, DEVICEID="7300")
    assert not on_disk(split(call, "far", start.latest, call.ended)[1], segments(daemon))
    assert len(recording_of(daemon, update)["blackouts"]) == 1


def both_updates(events):
    return events.wait_for(lambda all_events: [e for e in all_events if e.type == "RECORDINGUPDATE"
                                               and e.data["DEVICEID"] in (SALLY, PAUL)][1:2] and
                           {e.data["DEVICEID"]: e for e in all_events if e.type == "RECORDINGUPDATE"}, 15, "both updates")


@pytest.mark.parametrize("when", ["just now", "stored", "moved"])
def test_a_call_between_two_phones_of_ours_is_dark_on_both(start, exchange, when):
    daemon, events, target = start("move" if when == "moved" else None)
    call = exchange.call(PAUL, caller=SALLY, sound=noise())
    for device in (SALLY, PAUL):
        events.wait_type("RECORDINGSTARTED", device)
    time.sleep(TALK_S)
    call.end()
    if when != "just now":
        both_updates(events)
    if when == "moved":
        programs.wait_until(lambda: len(archived(target)) == 2 and
                            not programs.spantape_json("calls", "--store", daemon.store), 30, "the moves")
    start = black_out(daemon, call)  # is answered
    updates = both_updates(events)
    if when == "moved":
        for path, sidecar in archived(target).values():
            wav = audio.Wav(path)
            [window] = sidecar["recording"]["blackouts"]
            assert start.covers(window["from"]), path
            at = round((window["from"] - sidecar["recording"]["recording_time"]) * wav.rate)
            assert all(any(channel[:2 * (at - wav.rate)]) and not any(channel[2 * at:]) for channel in wav.channels), path
        return
    disk = segments(daemon)
    for side in ("far", "device"):
        outside, _ = split(call, side, start.earliest, call.ended)
        _, inside = split(call, side, start.latest, call.ended)
        assert len(inside) > 30 and not on_disk(inside, disk) and len(on_disk(outside[:-2], disk)) == len(outside) - 2
    for update in updates.values():
        recording = recording_of(daemon, update)
        assert start.covers(recording["blackouts"][0]["from"]), recording["device_id"]
        assert recording["ledger"]["blacked_out"] > 60, recording["device_id"]
    assert check_logs(daemon, "redaction")


def test_what_another_recording_holds_under_lock_stays(start, exchange):
    daemon, events, _ = start(None)
    call = exchange.call(PAUL, caller=SALLY, sound=noise())
    events.wait_type("RECORDINGSTARTED", PAUL)
    time.sleep(TALK_S)
    call.end()
    locked = int(both_updates(events)[PAUL].data["RECORDID"])
    with XmlClient(daemon.ports["xml"]) as client:
        assert client.ask("RECORDINGLOCK", RECORDID=locked, REASON="case 8").code == 20
        answer = client.ask("AGENTBLACKOUTSTART", SYS_USER="sally", TIMEOFFSET=-20)
        assert answer.code != 20 and f"recording {locked} is locked (case 8)" in answer["RESULTMSG"], answer
    disk = segments(daemon)
    assert len(on_disk(call.sent["far"][:-2], disk)) == len(call.sent["far"]) - 2


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_it_reaches_archived_copies(start, exchange, mode):
    daemon, events, target = start(mode)
    call, pauls = talk(exchange, events)
    ident = int(update_of(call, events).data["RECORDID"])
    programs.wait_until(lambda: len(archived(target)) == 2, 20, "the copies")
    before = archived(target)
    if mode == "move":
        programs.wait_until(lambda: not programs.spantape_json("calls", "--store", daemon.store), 30, "the moves")
    start = black_out(daemon, call)
    copies = archived(target)  # each proven by its hash
    path, sidecar = copies[ident]
    assert sidecar["archive"]["sha256"] != before[ident][1]["archive"]["sha256"]
    [window] = sidecar["recording"]["blackouts"]
    assert start.covers(window["from"])
    check_copy(path, call, sidecar["recording"], window["from"])
    others = set(copies) - {ident}
    assert {copies[each][1]["archive"]["sha256"] for each in others} == {
        before[each][1]["archive"]["sha256"] for each in others}
    if mode == "copy":
        assert not on_disk(split(call, "far", start.latest, call.ended)[1], segments(daemon))
    [line] = check_logs(daemon, "copies_silenced")
    assert line["copies"] == [path]


def test_what_it_cannot_reach_is_said(start, exchange):
    daemon, events, target = start("copy")
    call, _ = talk(exchange, events)
    ident = int(update_of(call, events).data["RECORDID"])
    programs.wait_until(lambda: len(archived(target)) == 2, 20, "the copies")
    target.rename(target.with_name("elsewhere"))  # as a share that is not mounted
    with XmlClient(daemon.ports["xml"]) as client:
        answer = client.ask("AGENTBLACKOUTSTART", SYS_USER="sally", TIMEOFFSET=-20)
        assert answer.code != 20 and f"recording {ident}: its archived copy" in answer["RESULTMSG"], answer
        assert "out of reach" in answer["RESULTMSG"]
        target.with_name("elsewhere").rename(target)
        assert client.ask("RECORDINGLOCK", RECORDID=ident, REASON="case 7").code == 20
        answer = client.ask("AGENTBLACKOUTSTART", SYS_USER="sally", TIMEOFFSET=-20)
        assert answer.code != 20 and f"recording {ident} is locked (case 7): {ident} stays as it is" in answer["RESULTMSG"], answer
        assert client.ask("RECORDINGUNLOCK", RECORDID=ident, REASON="over").code == 20
        assert client.ask("AGENTBLACKOUTSTART", SYS_USER="sally", TIMEOFFSET=-20).code == 20
    wav = audio.Wav(archived(target)[ident][0])
    assert not any(b"".join(wav.channels))
