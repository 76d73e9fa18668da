# SPDX-License-Identifier: AGPL-3.0-or-later
"""What was purged is in no byte of the store; what was not is there to the last sample; and who did it is in the log."""

import json
import os
import shutil
import struct

import pytest

from support import audio, capture_files, layers, programs, short_call
from support.clients import WebClient, XmlClient


def pcap_payloads(path, ssrc):
    """RTP payloads of one SSRC in a capture of IPv4 without options."""
    found = []
    with open(path, "rb") as file:
        data = file.read()
    at = 24
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if len(frame) > 54 and frame[42] >> 6 == 2 and frame[50:54] == struct.pack(">I", ssrc):
            found.append(frame[54:])
    return found


def store_bytes(store):
    """Every file of the store: path and content."""
    for folder, _, names in os.walk(store):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                yield os.path.join(folder, name), file.read()


def files_with(store, needles):
    return sorted({path for path, content in store_bytes(store) if any(needle in content for needle in needles)})


@pytest.fixture(scope="module")
def calls(directory):
    """A store with four recorded calls: (its directory, the capture, what `record --json` printed)."""
    capture, store = directory / "calls.pcap", directory / "made"
    made = programs.run(programs.SPANTAPE_GEN, "--calls", 4, "--seconds", 2, "--codec", "pcmu", "--out", capture)
    assert made.returncode == 0, made.stderr
    recorded = programs.spantape_json("record", capture, "--store", store, "--format", "none", "--clear")
    assert len(recorded) == 4
    return store, capture, recorded


@pytest.fixture
def store(calls, tmp_path):
    shutil.copytree(calls[0], tmp_path / "store")
    return tmp_path / "store"


def export(store, ident, out):
    done = programs.run(programs.SPANTAPE, "export", ident, "--store", store, "--out", out)
    assert done.returncode == 0, done.stderr
    return audio.Wav(done.stdout.strip())


def traces(calls, recording):
    """Bytes that tell of a recording: payloads of each of its streams, and its own fields."""
    payloads = []
    for stream in recording["streams"]:
        payloads += pcap_payloads(calls[1], int(stream["ssrc"], 16))[::10]
    assert len(payloads) > 10
    others = [other for other in calls[2] if other["ident"] != recording["ident"]]
    fields = [str(value).encode() for name, value in recording.items()
              if isinstance(value, str) and len(value) > 8 and all(value != other.get(name) for other in others)]
    assert fields, recording  # the file name at least
    return payloads, fields


def audit(store, *arguments):
    return programs.spantape_json("audit", "--store", store, *arguments)


def expect_logs_whole(store):
    done = programs.run(programs.SPANTAPE, "audit", "--store", store, "--check")
    assert done.returncode == 0, done.stdout


def expect_only_this_gone(calls, store, gone, before, tmp_path):
    payloads, fields = traces(calls, gone)
    assert files_with(store, payloads) == []
    assert files_with(store, fields) == []
    left = programs.spantape_json("calls", "--store", store)
    assert sorted(each["ident"] for each in left) == sorted(before)
    for ident, wav in before.items():
        after = export(store, ident, tmp_path / "after")
        assert after.channels == wav.channels, f"recording {ident} sounds different"


def test_a_purge_of_a_store_leaves_no_byte_and_spares_the_others(calls, store, tmp_path):
    gone, *others = calls[2]
    payloads, fields = traces(calls, gone)
    assert files_with(store, payloads) and files_with(store, fields)
    before = {each["ident"]: export(store, each["ident"], tmp_path / "before") for each in others}
    done = programs.run(programs.SPANTAPE, "purge", gone["ident"], "--store", store, "--reason", "erasure asked for")
    assert done.returncode == 0, done.stderr
    expect_only_this_gone(calls, store, gone, before, tmp_path)
    purges = audit(store, "--what", "purge")
    assert [(each["recordings"], each["reason"], each["by"]) for each in purges] == [
        ([gone["ident"]], "erasure asked for", "spantape")]
    expect_logs_whole(store)


def live_keys(store):
    """Numbers of the keys in the keyring that are not forgotten (FORMAT.md)."""
    [ring] = (store / "keys").glob("*.ring")
    content = ring.read_bytes()[4096:]
    slots = [content[at:at + 128] for at in range(0, len(content), 128)]
    return {struct.unpack_from("<Q", slot, 8)[0] for slot in slots if struct.unpack_from("<H", slot, 6)[0] == 1}


def test_a_purge_forgets_the_keys_of_an_encrypted_recording(calls, tmp_path):
    store = tmp_path / "store"
    recorded = programs.spantape_json("record", calls[1], "--store", store, "--format", "none")
    assert files_with(store, traces(calls, calls[2][0])[0]) == []  # no payload lies there as it came
    before = live_keys(store)
    assert len(before) == 8
    done = programs.run(programs.SPANTAPE, "purge", recorded[0]["ident"], "--store", store)
    assert done.returncode == 0, done.stderr
    assert len(live_keys(store)) == 6 and live_keys(store) < before
    assert programs.run(programs.SPANTAPE, "verify", store).returncode == 0
    for spared in recorded[1:]:
        assert export(store, spared["ident"], tmp_path / "out").duration == pytest.approx(2, abs=0.2)


def test_a_purge_through_the_daemon_does_the_same(calls, store, start_daemon, tmp_path):
    gone, *others = calls[2]
    before = {each["ident"]: export(store, each["ident"], tmp_path / "before") for each in others}
    daemon = start_daemon()
    server = f"127.0.0.1:{daemon.ports['xml']}"
    done = programs.run(programs.SPANTAPE, "purge", gone["ident"], "--server", server, "--reason", "asked for")
    assert done.returncode == 0, done.stderr
    again = programs.run(programs.SPANTAPE, "purge", gone["ident"], "--server", server)
    assert again.returncode == 1 and "there is none" in again.stderr
    expect_only_this_gone(calls, store, gone, before, tmp_path)
    assert daemon.stop() == 0
    expect_only_this_gone(calls, store, gone, before, tmp_path)
    assert [each["recordings"] for each in audit(store, "--what", "purge")] == [[gone["ident"]]]
    purges = audit(store, "--what", "RECORDINGPURGE")
    assert [(each["recordings"], each["result"], each["by"]) for each in purges] == [
        ([gone["ident"]], "API_OK", "xml"), ([gone["ident"]], "API_RECORDID_INVALID", "xml")]
    assert purges[0]["reason"] == "asked for"
    expect_logs_whole(store)
    # The next start finds nothing to bring back.
    start_daemon()
    assert len(programs.spantape_json("calls", "--store", store)) == 3


def test_locked_recordings_are_spared_until_unlocked(calls, store, start_daemon):
    ident = calls[2][0]["ident"]
    run = lambda *arguments: programs.run(programs.SPANTAPE, *arguments)  # noqa: E731
    assert run("lock", ident, "--store", store).returncode == 2, "a reason is needed"
    assert run("lock", ident, "--store", store, "--reason", "case 7").returncode == 0
    refused = run("purge", ident, "--store", store)
    assert refused.returncode == 1 and "is locked" in refused.stderr
    daemon = start_daemon()
    server = f"127.0.0.1:{daemon.ports['xml']}"
    refused = run("purge", ident, "--server", server)
    assert refused.returncode == 1 and "is locked" in refused.stderr
    assert run("unlock", ident, "--server", server, "--reason", "case closed").returncode == 0
    assert run("purge", ident, "--server", server).returncode == 0
    assert daemon.stop() == 0
    assert [each["reason"] for each in audit(store, "--what", "RECORDINGUNLOCK")] == ["case closed"]


def test_what_is_past_its_keep_days_goes_by_itself(tmp_path, start_daemon):
    capture = tmp_path / "old.pcap"
    capture_files.write_pcap(capture, [(time, layers.ethernet(packet)) for time, packet in
                                       short_call.ShortCall().packets()])
    store = tmp_path / "store"
    recorded = programs.spantape_json("record", capture, "--store", store, "--format", "none")  # of 2023
    assert len(recorded) == 1
    daemon = start_daemon(tmp_path, [], recording={"keep_days": 36500})
    assert daemon.stop() == 0
    assert len(programs.spantape_json("calls", "--store", store)) == 1
    daemon = start_daemon(tmp_path, [], recording={"keep_days": 1})
    programs.wait_until(lambda: not programs.spantape_json("calls", "--store", store), 20, "the purge")
    assert daemon.stop() == 0
    assert files_with(store, [short_call.ShortCall().rtp("far")[7].payload, b"short-call"]) == []
    assert [(each["recordings"], each["by"]) for each in audit(store, "--what", "purge")] == [
        ([recorded[0]["ident"]], "daemon")]
    expect_logs_whole(store)


def test_the_audit_log_tells_who_did_what_and_no_secrets(calls, store, start_daemon):
    ident = calls[2][0]["ident"]
    daemon = start_daemon()
    with XmlClient(daemon.ports["xml"]) as xml:
        assert xml.ask("TEST").code == 20
        xml.ask("CALLSTART", DEVICEID="7001", USER1="very-secret")
        xml.ask("RECORDSTOP", DEVICEID="7001")
    web = WebClient(daemon.ports["webapi"])
    web.export("ident", ident)
    web.ask("CALLLIST")
    assert daemon.stop() == 0
    lines = audit(store)
    whats = [line["what"] for line in lines]
    assert whats[-6:] == ["daemon_start", "CALLSTART", "RECORDSTOP", "EXPORT", "CALLLIST", "daemon_stop"]
    start, stop, exported, listed = lines[-5:-1]
    assert start["device"] == "7001" and start["by"] == "xml" and start["from"].startswith("127.0.0.1:")
    assert start["parameters"] == ["DEVICEID", "USER1"] and start["result"] == "API_OK"
    assert stop["code"] == 20
    assert exported["recordings"] == [ident] and exported["by"] == "webapi"
    assert listed["found"] == 4
    assert "very-secret" not in json.dumps(lines)
    assert [line["what"] for line in audit(store, "--who", "webapi")] == ["EXPORT", "CALLLIST"]
    expect_logs_whole(store)


def test_each_finished_recording_is_in_the_integrity_log(calls):
    store, _, recorded = calls
    with open(store / "log" / "integrity.jsonl", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    sealed = {line["recording"]: line for line in lines if line["what"] == "recording_sealed"}
    assert set(sealed) == {each["ident"] for each in recorded}
    assert all(len(line["audio_hash"]) == 64 and line["streams"] for line in sealed.values())


def test_a_changed_log_is_found(calls, store):
    expect_logs_whole(store)
    path = store / "log" / "audit.jsonl"
    text = path.read_text()
    path.write_text(text.replace('"daemon_start"', '"daemon_stort"', 1))
    done = programs.run(programs.SPANTAPE, "audit", "--store", store, "--check")
    assert done.returncode == 1 and "line 1 was changed" in done.stdout and "NOT whole" in done.stdout
