# SPDX-License-Identifier: AGPL-3.0-or-later
"""What fails beside the media: recording goes on, and the state is to be seen wherever one looks."""

import os
import socket
import time
import urllib.request

import pytest

from support import audio, network, phones, programs
from support.clients import Subscriber, WebClient, XmlClient
from test_store import Disk

CONNECTIONS = {"match": ["^7[0-9]+$"]}


def problems(daemon):
    """{part: message}, as SYSTEMSTATUS says; /metrics must say the same at the same time."""
    web = WebClient(daemon.ports["webapi"])

    def told():
        return {p.findtext("NAME"): p.findtext("MESSAGE") for p in web.ask("SYSTEMSTATUS").root.iter("PROBLEM")}

    while True:
        before = told()
        page = urllib.request.urlopen(f"http://127.0.0.1:{daemon.ports['webapi']}/metrics", timeout=10).read().decode()
        metrics = {line.split('"')[1] for line in page.splitlines() if line.startswith("spantape_problem{")}
        if told() == before:  # else it changed meanwhile
            assert metrics == set(before)
            return before


def wait_for(daemon, part, there=True, timeout_s=20):
    return programs.wait_until(lambda: (part in (found := problems(daemon))) == there and (found or True), timeout_s,
                               f"{part} {'' if there else 'no '}problem")


def recorded_whole(daemon, exchange, device):
    """A call made now is recorded; its audio is there."""
    subscriber = Subscriber(daemon.ports["events"])
    call = exchange.call(device)
    subscriber.wait_type("RECORDINGSTARTED", device)
    time.sleep(1)
    call.end()
    update = subscriber.wait_type("RECORDINGUPDATE", device)
    subscriber.close()
    wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", update.data["RECORDID"]))
    assert wav.duration == pytest.approx(call.duration, abs=0.1)


def test_a_listener_whose_port_is_taken_listens_once_it_is_free(start_daemon, port, exchange, tmp_path):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"], api={"xml": f"127.0.0.1:{number}"}, devices=CONNECTIONS)
        assert "xml" not in daemon.ports and f"listener xml: 127.0.0.1:{number}: Address already" in daemon.log()
        assert wait_for(daemon, "listener xml")["listener xml"] == f"127.0.0.1:{number}: Address already in use"
        recorded_whole(daemon, exchange, "7801")
    wait_for(daemon, "listener xml", there=False)
    with XmlClient(number) as client:
        assert client.ask("TEST").code == 20
    status = programs.run(programs.SPANTAPE, "status", "--server", f"127.0.0.1:{number}").stdout
    assert "PROBLEM" not in status
    assert "listener xml: works again" in daemon.log()
    assert daemon.stop() == 0


def test_without_its_master_key_recording_goes_on_and_somebody_is_told(start_daemon, port, exchange, tmp_path):
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"], devices=CONNECTIONS)
    key = os.path.join(daemon.store, "master.key")
    os.rename(key, key + ".away")
    assert "put a copy back" in wait_for(daemon, "master key")["master key"]
    status = programs.run(programs.SPANTAPE, "status", "--server", f"127.0.0.1:{daemon.ports['xml']}").stdout
    assert "PROBLEM     master key, since " in status
    subscriber = Subscriber(daemon.ports["events"])
    call = exchange.call("7802")
    time.sleep(1)
    call.end()
    update = subscriber.wait_type("RECORDINGUPDATE", "7802")
    os.rename(key + ".away", key)
    wait_for(daemon, "master key", there=False)
    wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", update.data["RECORDID"]))
    assert wav.duration == pytest.approx(call.duration, abs=0.1)
    assert daemon.stop() == 0


def test_when_the_index_refuses_writes_the_audio_is_stored_and_indexed_later(port, exchange, tmp_path):
    disk = Disk(tmp_path / "store" / "index", 4)  # too small for RocksDB to reserve room for its log
    daemon = programs.Daemon(tmp_path, [f"pcap:{port.inside}"], devices=CONNECTIONS)
    try:
        daemon.start()
        recorded_whole(daemon, exchange, "7803")
        disk.fill(0)
        subscriber = Subscriber(daemon.ports["events"])
        call = exchange.call("7804")
        wait_for(daemon, "storage: index")
        time.sleep(1)
        call.end()
        time.sleep(2)
        # Nothing is said to be stored that is not to be found.
        assert not [e for e in subscriber.events if (e.type, e.data["DEVICEID"]) == ("RECORDINGUPDATE", "7804")]
        disk.empty()
        update = subscriber.wait_type("RECORDINGUPDATE", "7804", 20)
        wait_for(daemon, "storage: index", there=False)
        wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", update.data["RECORDID"]))
        assert wav.duration == pytest.approx(call.duration, abs=0.1)
        recorded_whole(daemon, exchange, "7805")
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        disk.close()


def channel_states(daemon):
    with XmlClient(daemon.ports["xml"]) as client:
        return [channel.findtext("STATE") for channel in client.ask("CHANNELS").root.iter("CHANNEL")]


def test_while_nothing_gets_to_the_disk_the_channels_in_use_are_in_error(port, exchange, tmp_path):
    disk = Disk(tmp_path / "store" / "segments", 8)
    daemon = programs.Daemon(tmp_path, [f"pcap:{port.inside}"], devices=CONNECTIONS, recording={"channels": 16},
                             storage={"segment_mib": 2, "reserve": 0})
    calls = []
    try:
        daemon.start()
        recorded_whole(daemon, exchange, "7810")
        disk.fill(0)
        calls = [exchange.call(str(device)) for device in range(7811, 7823)]  # until the segment at hand is full
        wait_for(daemon, "storage: segments", timeout_s=60)
        states = channel_states(daemon)
        assert sorted(set(states)) == ["Error", "Idle"] and states.count("Error") == len(calls)
        disk.empty()
        wait_for(daemon, "storage: segments", there=False)
        programs.wait_until(lambda: channel_states(daemon).count("Recording") == len(calls), 10, "channels that record")
        for call in calls:
            call.end()
        recorded_whole(daemon, exchange, "7830")
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        disk.close()


def test_an_interface_that_is_removed_and_made_again_is_listened_to_again(start_daemon, tmp_path):
    first = network.Port()
    name = first.inside
    daemon = start_daemon(tmp_path, [f"pcap:{name}"], devices=CONNECTIONS)
    first.close()
    assert "interface" in wait_for(daemon, f"source pcap:{name}")[f"source pcap:{name}"]
    second = network.Port(inside=name)
    exchange = phones.Exchange(second)
    try:
        wait_for(daemon, f"source pcap:{name}", there=False)
        recorded_whole(daemon, exchange, "7806")
        assert daemon.stop() == 0
    finally:
        exchange.close()
        second.close()


def test_when_the_directory_refuses_writes_that_is_answered_and_it_takes_them_later(tmp_path, port):
    disk = Disk(tmp_path / "store" / "directory", 4)
    daemon = programs.Daemon(tmp_path, [f"pcap:{port.inside}"])

    def add(name):
        with XmlClient(daemon.ports["xml"]) as client:
            return client.ask("IMPORTUSER", ACTION="ADD", FIRSTNAME=name, LASTNAME="Agent", PASSWORD="x", STATUS="A",
                              SYS_USER=name)

    def users():
        with XmlClient(daemon.ports["xml"]) as client:
            return {each.text for each in client.ask("IMPORTUSER", ACTION="LIST").root.iter("SYS_USER")}

    try:
        daemon.start()
        assert add("anna").code == 20
        disk.fill(0)
        refused = [add(f"nobody{n}").code for n in range(20)]
        assert refused[-1] != 20
        disk.empty()
        assert add("bert").code == 20
        said = {"anna", "bert"} | {f"nobody{n}" for n, code in enumerate(refused) if code == 20}
        assert users() == said
        assert daemon.stop() == 0
        daemon.start()
        assert users() == said
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        disk.close()
