# SPDX-License-Identifier: AGPL-3.0-or-later
"""What archive actions make of recordings: which go where and when, what a restart changes (nothing), and that neither
a target that is away nor a daemon that is killed costs a recording."""

import json
import os
import shutil
import signal
import time

import pytest

from support import audio, programs
from support.archives import archived
from support.clients import XmlClient

CALLS = 4
WAIT_S = 300_000_000  # the calls are of 2023


@pytest.fixture(scope="module")
def made(directory):
    """A store with recorded calls, and what `record --json` printed."""
    capture, store = directory / "calls.pcap", directory / "made"
    done = programs.run(programs.SPANTAPE_GEN, "--calls", CALLS, "--seconds", 2, "--codec", "pcmu", "--out", capture)
    assert done.returncode == 0, done.stderr
    recorded = programs.spantape_json("record", capture, "--store", store, "--format", "none")
    assert len(recorded) == CALLS
    return store, recorded


@pytest.fixture
def store(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def target(tmp_path):
    (tmp_path / "archive").mkdir()
    return tmp_path / "archive"


def action(target, **more):
    return {"number": 7, "name": "year", "path": str(target), **more}


def calls(store):
    return {each["ident"]: each for each in programs.spantape_json("calls", "--store", store)}


def audit(store, what):
    return programs.spantape_json("audit", "--store", store, "--what", what)


def exported(store, ident, tmp_path):
    done = programs.run(programs.SPANTAPE, "export", ident, "--store", store, "--out", tmp_path / "exported")
    assert done.returncode == 0, done.stderr
    with open(done.stdout.strip(), "rb") as file:
        return file.read()


def status(daemon):
    return programs.spantape_json("status", "--server", f"127.0.0.1:{daemon.ports['xml']}")


def expect_logs_whole(store):
    done = programs.run(programs.SPANTAPE, "audit", "--store", store, "--check")
    assert done.returncode == 0, done.stdout


def test_a_copy_is_the_export_with_its_fields_beside_it_and_is_made_once(store, target, start_daemon, tmp_path):
    before = {ident: exported(store, ident, tmp_path) for ident in calls(store)}
    daemon = start_daemon(recording={"archive_action": 7}, archive=[action(target)])
    programs.wait_until(lambda: len(archived(target)) == CALLS, 20, "the copies")
    copies = archived(target)
    listed = calls(store)
    for ident, (path, sidecar) in copies.items():
        with open(path, "rb") as file:
            assert file.read() == before[ident]
        assert sidecar["recording"] == listed[ident]
        assert path == os.path.join(target, *listed[ident]["filename"].split("/")[-3:])
    programs.wait_until(lambda: status(daemon)["archived"] == CALLS, 10, "the count")
    times = {path: os.stat(path).st_mtime_ns for path, _ in copies.values()}
    assert daemon.stop() == 0
    assert sorted(each["recordings"][0] for each in audit(store, "archive")) == sorted(listed)
    # Restarted, also with an index that is made anew: nothing is copied again.
    assert programs.run(programs.SPANTAPE, "rebuild", store).returncode == 0
    daemon = start_daemon(recording={"archive_action": 7}, archive=[action(target)])
    time.sleep(3)
    assert status(daemon)["archivewaiting"] == 0
    # Without the old index the copies are recognised.
    assert daemon.stop() == 0
    shutil.rmtree(store / "index")
    daemon = start_daemon(recording={"archive_action": 7}, archive=[action(target)])
    programs.wait_until(lambda: status(daemon)["archived"] == CALLS, 20, "the look at all of them")
    assert daemon.stop() == 0
    assert {path: os.stat(path).st_mtime_ns for path, _ in archived(target).values()} == times
    assert len(calls(store)) == CALLS
    expect_logs_whole(store)


def test_moved_ones_leave_the_store_and_locked_ones_stay(made, store, target, start_daemon, tmp_path):
    before = {ident: exported(store, ident, tmp_path) for ident in calls(store)}
    locked = made[1][1]["ident"]
    assert programs.run(programs.SPANTAPE, "lock", locked, "--store", store, "--reason", "case 7").returncode == 0
    daemon = start_daemon(recording={"archive_action": 7}, archive=[action(target, mode="move")])
    programs.wait_until(lambda: list(calls(store)) == [locked], 30, "the moves")
    assert {ident: open(path, "rb").read() for ident, (path, _) in archived(target).items()} == before
    server = f"127.0.0.1:{daemon.ports['xml']}"
    assert programs.run(programs.SPANTAPE, "unlock", locked, "--server", server, "--reason", "over").returncode == 0
    programs.wait_until(lambda: not calls(store), 30, "the last move")
    assert daemon.stop() == 0
    assert len(archived(target)) == CALLS
    assert {ident for each in audit(store, "purge") for ident in each["recordings"]} == set(before)
    assert programs.run(programs.SPANTAPE, "verify", store).returncode == 0
    expect_logs_whole(store)


def test_the_wait_and_the_recordings_own_action_count(store, target, start_daemon, tmp_path):
    second = tmp_path / "second"
    second.mkdir()
    now_s = time.time()
    idents = sorted(calls(store))
    ended = {ident: call["recording_time"] + call["duration"] for ident, call in calls(store).items()}
    wait_s = now_s - min(ended.values()) + 5  # all ended within a few seconds
    actions = [action(target, wait=wait_s), action(second, number=8)]
    daemon = start_daemon(recording={"archive_action": 7}, archive=actions)
    with XmlClient(daemon.ports["xml"]) as xml:
        assert xml.ask("CALLUPDATE", RECORDID=idents[0], ARCHIVEACTION=8).code == 20
        assert xml.ask("CALLUPDATE", RECORDID=idents[1], ARCHIVEACTION=99).code == 20
        assert xml.ask("CALLUPDATE", RECORDID=idents[2], ARCHIVEACTION=0).code == 20
    programs.wait_until(lambda: list(archived(second)) == [idents[0]], 20, "the copy of action 8")
    if time.time() < min(ended.values()) + wait_s - 0.5:
        assert not archived(target), "before the wait is over"
    assert daemon.stop() == 0
    daemon = start_daemon(tmp_path, [], recording={"archive_action": 7}, archive=actions)
    programs.wait_until(lambda: list(archived(target)) == [idents[3]], 40, "the copy after the wait")
    assert time.time() >= ended[idents[3]] + wait_s
    programs.wait_until(lambda: status(daemon)["archiveunknownaction"] == 1, 20, "the count of unknown actions")
    assert "no such archive action: 99" in daemon.log()
    # Changed after it was archived: by the new one as well.
    with XmlClient(daemon.ports["xml"]) as xml:
        assert xml.ask("CALLUPDATE", RECORDID=idents[3], ARCHIVEACTION=8).code == 20
    programs.wait_until(lambda: sorted(archived(second)) == [idents[0], idents[3]], 20, "the second copy")
    # The actions of a changed configuration are taken over while it runs.
    with open(daemon.config_path, "a", encoding="utf-8") as file:
        file.write(f'[[archive]]\nnumber = 99\npath = "{second}"\n')
    daemon.process.send_signal(signal.SIGHUP)
    programs.wait_until(lambda: idents[1] in archived(second), 20, "the copy of the new action")
    assert idents[2] not in archived(target) and idents[2] not in archived(second)


def spantape_actions(daemon, *arguments):
    done = programs.run(programs.SPANTAPE, "archive-action", *arguments, "--server", f"127.0.0.1:{daemon.ports['xml']}",
                        "--json")
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else done.stderr


def test_actions_are_added_changed_and_removed_while_it_runs(store, target, start_daemon, tmp_path):
    second = tmp_path / "second"
    second.mkdir()
    configured = {"archive": [action(target, wait=WAIT_S)]}
    daemon = start_daemon(**configured)
    idents = sorted(calls(store))
    with XmlClient(daemon.ports["xml"]) as xml:
        for ident, number in zip(idents, (7, 8, 9)):
            assert xml.ask("CALLUPDATE", RECORDID=ident, ARCHIVEACTION=number).code == 20
        listed = xml.ask("ARCHIVEACTIONSET", ACTION="LIST")
        assert listed["COUNT"] == "1" and listed["ARCHIVEACTIONS/ARCHIVEACTION/WAIT"] == str(WAIT_S)
        for wrong, why in (({"ACTION": "ADD", "NUMBER": 7, "PATH": "/a"}, "there is an archive action 7"),
                           ({"ACTION": "MODIFY", "NUMBER": 8}, "there is no archive action 8"),
                           ({"ACTION": "DELETE", "NUMBER": 7}, "beside those of the configuration"),
                           ({"ACTION": "ADD", "NUMBER": 8}, "PATH must be the path"),
                           ({"ACTION": "ADD", "NUMBER": 8, "PATH": "archive"}, "is 'archive'"),
                           ({"ACTION": "ADD", "PATH": "/a"}, "NUMBER of the archive action is required"),
                           ({"ACTION": "ADD", "NUMBER": 8, "PATH": "/a", "MODE": "LINK"}, "MODE"),
                           ({"ACTION": "ADD", "NUMBER": 8, "PATH": "/a", "KEEPDAYS": -1}, "KEEPDAYS")):
            answer = xml.ask("ARCHIVEACTIONSET", **wrong)
            assert answer.code != 20 and why in answer["RESULTMSG"], answer
    code, actions = spantape_actions(daemon, "add", "8", "name=<second>", f"path={second}", "keep_days=30")
    assert code == 0 and [each["NUMBER"] for each in actions] == ["7", "8"]
    assert actions[1] == {"NUMBER": "8", "NAME": "<second>", "PATH": str(second), "MODE": "COPY", "FORMAT": "WAV",
                          "KEEPDAYS": "30", "WAIT": "0", "ORIGIN": "changed"}
    programs.wait_until(lambda: list(archived(second)) == [idents[1]], 20, "the copy of the new action")
    assert not archived(target)
    # What was changed holds over a restart, and over the configuration's of the same number.
    assert spantape_actions(daemon, "modify", "7", "wait=0")[1][0]["ORIGIN"] == "changed"
    programs.wait_until(lambda: list(archived(target)) == [idents[0]], 20, "the copy without the wait")
    assert daemon.stop() == 0
    daemon = start_daemon(tmp_path, [], **configured)
    code, actions = spantape_actions(daemon, "list")
    assert [(each["NUMBER"], each["WAIT"], each["ORIGIN"]) for each in actions] == [("7", "0", "changed"), ("8", "0", "changed")]
    # An action that was added may be the one of all recordings that name none.
    assert daemon.stop() == 0
    daemon = start_daemon(tmp_path, [], recording={"archive_action": 8}, **configured)
    programs.wait_until(lambda: sorted(archived(second)) == [idents[1], *idents[3:]], 20, "copies of those that name none")
    assert daemon.stop() == 0
    daemon = start_daemon(tmp_path, [], recording={"archive_action": 3}, **configured)
    assert "recording.archive_action: there is no archive action 3:" in daemon.log()
    assert daemon.stop() == 0
    daemon = start_daemon(tmp_path, [], **configured)
    assert [each["ORIGIN"] for each in spantape_actions(daemon, "delete", "7")[1]] == ["configuration", "changed"]
    assert [each["NUMBER"] for each in spantape_actions(daemon, "delete", "8")[1]] == ["7"]
    code, error = spantape_actions(daemon, "delete", "8")
    assert code == 1 and "there is no archive action 8" in error
    with XmlClient(daemon.ports["xml"]) as xml:
        assert xml.ask("CALLUPDATE", RECORDID=idents[3], ARCHIVEACTION=8).code == 20
    programs.wait_until(lambda: status(daemon)["archiveunknownaction"] == 2, 20, "8 and 9 are unknown")
    assert daemon.stop() == 0
    results = [each["result"] for each in audit(store, "ARCHIVEACTIONSET")]
    assert results.count("API_OK") == 6 and results.count("API_INVALID_MESSAGE_FORMAT") == 9


def test_what_is_past_its_days_in_the_archive_goes_there_alone(store, target, start_daemon, tmp_path):
    configured = {"recording": {"archive_action": 7}, "archive": [action(target, keep_days=2)]}
    daemon = start_daemon(**configured)
    programs.wait_until(lambda: len(archived(target)) == CALLS, 20, "the copies")
    assert daemon.stop() == 0
    old, *others = sorted(archived(target).items())
    path, sidecar = old[1]
    sidecar["archive"]["archived_ns"] -= 3 * 86400 * 10**9  # as if three days had passed
    with open(path + ".json", "w", encoding="utf-8") as file:
        json.dump(sidecar, file)
    daemon = start_daemon(tmp_path, [], **configured)
    programs.wait_until(lambda: len(archived(target)) == CALLS - 1, 20, "the removal")
    time.sleep(3)
    assert daemon.stop() == 0
    assert sorted(archived(target)) == sorted(ident for ident, _ in others), "and it is not archived again"
    assert not os.path.exists(path) and not os.path.exists(path + ".json")
    assert len(calls(store)) == CALLS
    assert [(each["recordings"], each["file"]) for each in audit(store, "archive_expired")] == [([old[0]], path)]
    expect_logs_whole(store)


def test_an_erasure_takes_the_copies_or_says_that_it_did_not(store, target, start_daemon, tmp_path):
    daemon = start_daemon(recording={"archive_action": 7}, archive=[action(target)])
    programs.wait_until(lambda: status(daemon)["archived"] == CALLS, 20, "the copies")
    first, second, third, fourth = sorted(calls(store))
    server = f"127.0.0.1:{daemon.ports['xml']}"
    purged = programs.run(programs.SPANTAPE, "purge", first, "--server", server)
    assert purged.returncode == 0, purged.stderr
    assert sorted(archived(target)) == [second, third, fourth]
    away = tmp_path / "away"
    target.rename(away)
    target.mkdir()  # the mount point of a share that is not mounted
    purged = programs.run(programs.SPANTAPE, "purge", second, "--server", server)
    assert purged.returncode == 1 and "out of reach" in purged.stderr, purged.stderr
    assert sorted(calls(store)) == [third, fourth]
    assert daemon.stop() == 0
    assert programs.run(programs.SPANTAPE, "purge", third, "--store", store).returncode == 1
    target.rmdir()
    away.rename(target)
    for ident in (second, third):  # the store has them no more; the archive does
        assert programs.run(programs.SPANTAPE, "purge", ident, "--store", store).returncode == 0
    assert sorted(archived(target)) == [fourth]
    removed = [path for each in audit(store, "purge") for path in each.get("copies_removed", [])]
    assert len(removed) == 3
    assert len([each for each in audit(store, "purge") if "copies_left" in each]) == 2
    expect_logs_whole(store)


@pytest.fixture
def small_disk(networks, target):
    """The target with room for one recording; needs root, as the networks do."""
    made = programs.run("mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", target)
    if made.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted: {made.stderr}")
    yield target
    programs.run("umount", target)


def test_a_full_target_loses_nothing_and_is_tried_again(store, small_disk, start_daemon):
    daemon = start_daemon(recording={"archive_action": 7}, archive=[action(small_disk, mode="move")])
    programs.wait_until(lambda: "No space left on device" in daemon.log(), 20, "the error")
    assert status(daemon)["archivefailingtargets"] == 1
    programs.wait_until(lambda: status(daemon)["archivefailures"] >= 2, 30, "the second attempt")
    here = archived(small_disk)
    assert len(here) < CALLS
    assert len(set(here) | set(calls(store))) == CALLS, "each is there or here"
    assert daemon.log().count("No space left on device") == 1, "said once"
    assert programs.run("mount", "-o", "remount,size=10m", small_disk).returncode == 0
    programs.wait_until(lambda: not calls(store), 60, "the moves")
    assert len(archived(small_disk)) == CALLS
    assert "can be written to again" in daemon.log()
    assert daemon.stop() == 0


def test_killed_at_any_moment_each_is_archived_once(made, store, target, start_daemon, tmp_path):
    whole = {ident: exported(store, ident, tmp_path) for ident in calls(store)}
    configured = {"recording": {"archive_action": 7}, "archive": [action(target, mode="move")]}
    for turn in range(8):
        daemon = start_daemon(tmp_path, [], **configured)
        time.sleep(0.15 * turn)
        daemon.kill()
    daemon = start_daemon(tmp_path, [], **configured)
    programs.wait_until(lambda: not calls(store), 60, "the moves")
    assert {ident: open(path, "rb").read() for ident, (path, _) in archived(target).items()} == whole
    left = [name for _, _, names in os.walk(target) for name in names if name.startswith(".part-")]
    assert not left
    assert daemon.stop() == 0
    assert programs.run(programs.SPANTAPE, "verify", store).returncode == 0
    expect_logs_whole(store)


def test_copies_sound_as_the_calls_did(store, target, start_daemon):
    start_daemon(recording={"archive_action": 7}, archive=[action(target)])
    programs.wait_until(lambda: len(archived(target)) == CALLS, 20, "the copies")
    for path, _ in archived(target).values():
        wav = audio.Wav(path)
        assert wav.duration == pytest.approx(2, abs=0.2)
        assert all(any(channel) for channel in wav.channels)
