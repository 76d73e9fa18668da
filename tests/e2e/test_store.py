# SPDX-License-Identifier: AGPL-3.0-or-later
"""The store under attack: kill -9 in a loop under load, and a disk that fills up.

SPANTAPE_KILL_ROUNDS is how often the daemon is killed (3; the long form is 100). SPANTAPE_SEED repeats its moments.
"""

import os
import random
import struct
import subprocess
import time

import pytest

from support import peers, programs
from support.clients import Subscriber, XmlClient

ROUNDS = int(os.environ.get("SPANTAPE_KILL_ROUNDS", "3"))
SEED = int(os.environ.get("SPANTAPE_SEED", random.SystemRandom().randrange(1 << 32)))
LOST_AT_MOST_S = 1.0  # storage.flush
LATE_S = 0.3          # between a packet on the wire and the worker, on a busy machine

pytestmark = pytest.mark.skipif(programs.missing("sipp", "tcpdump") is not None, reason="needs sipp and tcpdump")


def verified(store):
    """What `spantape verify` says of a store that must be whole."""
    done = programs.run(programs.SPANTAPE, "verify", store, "--json")
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout[-3000:]} {done.stderr[-1000:]}"
    return programs.json.loads(done.stdout)


def recordings(store):
    found = programs.spantape_json("calls", "--store", store, "--limit", 1_000_000)
    return {recording["ident"]: recording for recording in found}


def test_whatever_moment_the_kill_comes_nothing_announced_is_lost(mirror, directory):
    print(f"SPANTAPE_SEED={SEED}")
    moments = random.Random(SEED)
    daemon = programs.Daemon(directory, [f"pcap:{mirror.mirror}"], devices={"match": ["^[67][0-9]+$"]},
                             storage={"segment_mib": 2}, sip={"media_timeout": 5})
    announced, ran_into_it = {}, 0
    daemon.start()
    calls = None
    try:
        for number in range(ROUNDS):
            subscriber, began_at = Subscriber(daemon.ports["events"]), time.time()
            calls = peers.SippCalls(mirror, str(directory / f"calls{number}"), 150, 2.0, 25, "7")
            subscriber.wait_for(lambda events: sum(e.type == "RECORDINGUPDATE" for e in events) >= 5, 30, "stored calls")
            time.sleep(moments.uniform(0, 2))
            killed_at = time.time()
            daemon.kill()
            calls.kill()
            subscriber.client.close()
            subscriber.thread.join(5)
            # After these nothing more was heard of a recording: it is on the disk.
            stored = {int(e.data["RECORDID"]) for e in subscriber.events if e.type == "RECORDINGUPDATE"}
            stopped = {int(e.data["RECORDID"]) for e in subscriber.events if e.type == "RECORDINGSTOPPED"}
            started = {e.data["DEVICEID"] for e in subscriber.events if e.type == "RECORDINGSTARTED"}
            daemon.start()
            found = recordings(daemon.store)
            for ident in stored:
                assert found[ident]["state"] == "stored", (number, ident)
                announced[ident] = found[ident]
            # Those of earlier rounds are as they were.
            for ident, before in announced.items():
                assert found[ident] == before, (number, ident)
            for ident in stopped:
                assert ident in found, f"round {number}: recording {ident} stopped, and is gone"
            cut_off = [r for r in found.values() if r["state"] == "interrupted" and r["recording_time"] > began_at
                       and r["ident"] not in stopped]
            for recording in cut_off:
                end = recording["recording_time"] + recording["duration"]
                # What began within the last second may not be there at all; the others run up to it.
                assert end >= killed_at - LOST_AT_MOST_S - LATE_S or recording["duration"] >= 1.9, (number, recording)
                assert end <= killed_at + LATE_S, (number, recording)
            ran_into_it += len(cut_off)
            report = verified(daemon.store)
            assert report["gaps"] == 0 and started, report
        assert ran_into_it >= 10 * ROUNDS, f"only {ran_into_it} recordings were running at the kills"
        assert len(announced) >= 5 * ROUNDS
        assert daemon.stop() == 0
        assert verified(daemon.store)["not_indexed"] == 0
        # The index made anew from what 2 * ROUNDS starts left says the same.
        before = recordings(daemon.store)
        assert programs.run(programs.SPANTAPE, "rebuild", daemon.store).returncode == 0
        after = recordings(daemon.store)
        assert {i: r for i, r in after.items() if i in before} == before
        verified(daemon.store)
    finally:
        if calls:
            calls.kill()
        daemon.kill()


class Disk:
    """A file system of a few megabytes."""

    def __init__(self, place, mib):
        self.place = str(place)
        os.makedirs(self.place, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", self.place], check=True)
        self.filler = os.path.join(self.place, "filler")

    def fill(self, leave_bytes):
        """A file that leaves so much free; returns how much that is."""
        free = os.statvfs(self.place).f_bavail * 4096
        with open(self.filler, "ab") as file:
            left = max(free - leave_bytes, 0)
            while left > 0:
                try:
                    left -= file.write(b"x" * min(left, 1 << 16))
                    file.flush()
                except OSError:
                    break
        return os.statvfs(self.place).f_bavail * 4096

    def empty(self):
        os.remove(self.filler)

    def close(self):
        subprocess.run(["umount", "-l", self.place], check=False)


@pytest.mark.parametrize("leave_bytes", [1 << 20, 0], ids=["no_room_for_a_segment", "not_a_byte"])
def test_a_full_disk_stops_storing_and_nothing_else(mirror, tmp_path, leave_bytes):
    disk = Disk(tmp_path / "store", 64)
    daemon = programs.Daemon(tmp_path, [f"pcap:{mirror.mirror}"], devices={"match": ["^7[0-9]+$"]},
                             storage={"segment_mib": 2, "reserve": 0})  # it is to run into it
    calls = []
    try:
        daemon.start()
        subscriber = Subscriber(daemon.ports["events"])
        calls.append(peers.SippCalls(mirror, str(tmp_path / "before"), 20, 1.5, 20, "71"))
        calls[-1].wait()
        subscriber.wait_for(lambda events: sum(e.type == "RECORDINGUPDATE" for e in events) >= 20, 20, "20 stored calls")
        before = recordings(daemon.store)
        assert len(before) == 20

        disk.fill(leave_bytes)
        calls.append(peers.SippCalls(mirror, str(tmp_path / "during"), 60, 6.0, 30, "72"))
        programs.wait_until(lambda: "No space left" in daemon.log(), 30, "a word about the full disk")
        calls[-1].wait()
        assert daemon.alive()
        with XmlClient(daemon.ports["xml"]) as client:
            assert client.ask("TEST").code == 20
        said = daemon.log().count("No space left")
        assert said < 120, "said again and again"

        disk.empty()
        time.sleep(1)
        subscriber.events.clear()
        calls.append(peers.SippCalls(mirror, str(tmp_path / "after"), 20, 1.5, 20, "73"))
        calls[-1].wait()
        subscriber.wait_for(lambda events: sum(e.type == "RECORDINGUPDATE" and e.data["DEVICEID"].startswith("73")
                                               for e in events) >= 20, 30, "20 stored calls after the disk was full")
        found = recordings(daemon.store)
        assert {ident: found[ident] for ident in before} == before
        after = [r for r in found.values() if r["device_id"].startswith("73")]
        assert len(after) == 20
        assert all(r["state"] == "stored" and r["ledger"]["dropped_us"] == 0 for r in after)
        # What ran while it was full is there, too, as far as the rings held it; the rest is counted.
        during = [r for r in found.values() if r["device_id"].startswith("72")]
        assert len(during) == 60
        assert daemon.stop() == 0
        verified(daemon.store)
    finally:
        for each in calls:
            each.kill()
        daemon.kill()
        disk.close()


def test_below_the_reserve_no_recording_begins_until_there_is_room(mirror, tmp_path):
    disk = Disk(tmp_path / "store", 64)
    daemon = programs.Daemon(tmp_path, [f"pcap:{mirror.mirror}"], devices={"match": ["^7[0-9]+$"]},
                             storage={"segment_mib": 2, "reserve": 20})
    calls = []
    try:
        daemon.start()
        subscriber = Subscriber(daemon.ports["events"])
        disk.fill(4 << 20)
        programs.wait_until(lambda: "no recording begins" in daemon.log(), 10, "a word about the reserve")
        calls.append(peers.SippCalls(mirror, str(tmp_path / "refused"), 1, 6.0, 1, "74"))
        call = subscriber.wait_for(lambda events: next((e for e in events if e.type == "CALLSTART"), None))
        with XmlClient(daemon.ports["xml"]) as client:
            answer = client.ask("RECORDSTART", DEVICEID=call.data["DEVICEID"])
            assert answer["RESULTTYPE"] == "API_ERROR_OUT_OF_DISK_SPACE", answer.text
        calls[-1].wait()
        assert not any(event.type == "RECORDINGSTARTED" for event in subscriber.events)
        disk.empty()
        programs.wait_until(lambda: "disk: works again" in daemon.log(), 10, "a word about the room")
        calls.append(peers.SippCalls(mirror, str(tmp_path / "recorded"), 1, 1.5, 1, "75"))
        subscriber.wait_for(lambda events: any(e.type == "RECORDINGUPDATE" for e in events))
        calls[-1].wait()
        assert programs.run(programs.SPANTAPE, "verify", daemon.store).returncode == 0
    finally:
        for each in calls:
            each.kill()
        daemon.kill()
        disk.close()


def test_verify_names_a_flipped_bit_and_rebuild_gives_the_same_index(directory):
    capture, store = directory / "made.pcap", directory / "made"
    assert programs.run(programs.SPANTAPE_GEN, "--calls", 4, "--seconds", 3, "--out", capture).returncode == 0
    assert programs.run(programs.SPANTAPE, "record", capture, "--store", store, "--format", "none").returncode == 0
    report = verified(store)
    assert (report["recordings"], report["streams"], report["frames"]) == (4, 8, 4 * 2 * 150)
    before = recordings(store)
    subprocess.run(["rm", "-r", str(store / "index")], check=True)
    assert programs.run(programs.SPANTAPE, "verify", store).returncode == 2
    assert programs.run(programs.SPANTAPE, "rebuild", store).returncode == 0
    assert recordings(store) == before
    verified(store)

    segment = store / "segments" / "00000001.seg"
    bytes_ = bytearray(segment.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    segment.write_bytes(bytes_)
    done = programs.run(programs.SPANTAPE, "verify", store, "--json")
    assert done.returncode == 1
    damage, = programs.json.loads(done.stdout)["damage"]
    assert damage["what"] == "chunk" and damage["recordings"][0] in before and damage["segment"] == 1
    exported = programs.run(programs.SPANTAPE, "export", damage["recordings"][0], "--store", store, "--out", directory)
    assert exported.returncode == 0 and exported.stdout.strip().endswith(".wav")


def crc32c(data):
    """As the CRC of RFC 3720 §12.1, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_audio_that_was_altered_and_sealed_anew_is_found(directory):
    assert crc32c(b"123456789") == 0xE3069283
    capture, store = directory / "sealed.pcap", directory / "sealed"
    assert programs.run(programs.SPANTAPE_GEN, "--calls", 2, "--seconds", 2, "--out", capture).returncode == 0
    assert programs.run(programs.SPANTAPE, "record", capture, "--store", store, "--format", "none",
                        "--clear").returncode == 0
    verified(store)
    segment = store / "segments" / "00000001.seg"
    content = bytearray(segment.read_bytes())
    at = next(at for at in range(4096, len(content), 64)
              if content[at:at + 6] == b"SPTR\x01\x00" and struct.unpack_from("<I", content, at + 160)[0] > 5)
    header_bytes, total = struct.unpack_from("<HI", content, at + 6)
    content[at + header_bytes + 100] ^= 0x55  # in the first frame's payload
    record = bytearray(content[at:at + total])
    record[12:20] = bytes(8)
    struct.pack_into("<I", content, at + 12, crc32c(record))  # as somebody would who has read FORMAT.md
    segment.write_bytes(content)
    done = programs.run(programs.SPANTAPE, "verify", store, "--json")
    assert done.returncode == 1
    damage, = programs.json.loads(done.stdout)["damage"]
    assert damage["what"] == "stream" and "others than those that were recorded" in damage["reason"]
