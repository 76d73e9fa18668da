# SPDX-License-Identifier: AGPL-3.0-or-later
"""The programs as a person or a script meets them: options, exit codes, messages, signals."""

import re
import signal

import pytest

from support import audio, network, programs, wire
from support.clients import XmlClient, request_text


@pytest.fixture(scope="module")
def capture(directory):
    """A capture file of one call of two seconds, 440 packets of µ-law, made by hand."""
    from support import phones  # the frames go to a file instead of a port

    class File:
        frames = []

        def send(self, frame):
            self.frames.append((self.now, frame))

    class Desk:
        def __init__(self):
            self.port = File()
            self.lock, self.open = phones.threading.Lock(), []
            self.audio = [audio.encode_ulaw(phones.peers.sweep(3, 400, 900))] * 2

    desk = Desk()
    desk.port.now = 1_700_000_000.0
    call = phones.PhoneCall(desk, "7001", "5551234")
    call.invite()
    call.answer()
    for _ in range(100):
        call.send_media()
        desk.port.now += 0.02
    call.end()
    path = directory / "call.pcap"
    with open(path, "wb") as file:
        file.write(wire.struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for time, frame in desk.port.frames:
            file.write(wire.struct.pack("<IIII", int(time), round(time % 1 * 1e6), len(frame), len(frame)) + frame)
    return path


# --- spantaped

@pytest.mark.parametrize("program", [programs.SPANTAPED, programs.SPANTAPE])
def test_help_and_version(program):
    done = programs.run(program, "--help")
    assert done.returncode == 0 and "--version" in done.stdout
    done = programs.run(program, "--version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout)


def write_config(directory, text):
    path = directory / "spantape.toml"
    path.write_text(text)
    return path


def test_check_accepts_a_good_configuration(tmp_path):
    path = write_config(tmp_path, f'[storage]\npath = "{tmp_path}"\n[api]\nxml = "127.0.0.1:0"\n')
    assert programs.run(programs.SPANTAPED, "--config", path, "--check").returncode == 0


def test_the_example_configuration_is_good():
    path = programs.os.path.join(programs.ROOT, "appliance", "spantape.toml")
    assert programs.run(programs.SPANTAPED, "--config", path, "--check").returncode == 0


@pytest.mark.parametrize("text, line, key", [
    ('[api]\nxml = 5620\n', 2, "xml"),
    ('[recording]\n\nchannels = "many"\n', 3, "channels"),
    ('[storage]\nflush = 1.0\nfulsh = 2.0\n', 3, "fulsh"),
    ('[nonsense]\nx = 1\n', 1, "nonsense"),
    ('[capture]\npace = "sometimes"\n', 2, "pace"),
    ('[devices]\nmatch = ["("]\n', 2, "match"),
])
def test_a_wrong_configuration_is_named_in_one_line(tmp_path, text, line, key):
    path = write_config(tmp_path, text)
    for extra in (["--check"], []):
        done = programs.run(programs.SPANTAPED, "--config", path, *extra)
        assert done.returncode == 2
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1 and str(path) in lines[0] and key in lines[0], done.stderr
        assert re.search(rf"\b{line}\b", lines[0].replace(str(path), "")), done.stderr


def test_broken_toml_and_a_missing_file_exit_2(tmp_path):
    done = programs.run(programs.SPANTAPED, "--config", write_config(tmp_path, "[api\nxml = 1\n"), "--check")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    done = programs.run(programs.SPANTAPED, "--config", tmp_path / "none.toml", "--check")
    assert done.returncode == 2 and "none.toml" in done.stderr


def test_set_overrides_the_file(tmp_path):
    path = write_config(tmp_path, f'[storage]\npath = "{tmp_path}"\n')
    assert programs.run(programs.SPANTAPED, "--config", path, "--set", "recording.channels=5", "--check").returncode == 0
    done = programs.run(programs.SPANTAPED, "--config", path, "--set", "recording.channels=lots", "--check")
    assert done.returncode == 2 and "channels" in done.stderr
    assert programs.run(programs.SPANTAPED, "--config", path, "--set", "no.such=1", "--check").returncode == 2


def test_an_unknown_option_exits_2():
    assert programs.run(programs.SPANTAPED, "--frobnicate").returncode == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(networks, start_daemon, tmp_path, how):
    cable = network.Port()
    try:
        daemon = start_daemon(tmp_path, [f"pcap:{cable.inside}"])
        assert set(daemon.ports) == {"xml", "events", "webapi"}
        assert len(set(daemon.ports.values())) == 3 and 0 not in daemon.ports.values()
        assert daemon.stop(how) == 0
    finally:
        cable.close()


def test_an_interface_that_is_not_there_is_named(tmp_path):
    daemon = programs.Daemon(tmp_path, ["pcap:nosuchport0"])
    done = programs.run(programs.SPANTAPED, "--config", daemon.config_path)
    assert done.returncode in (1, 2) and "nosuchport0" in done.stderr


def test_a_file_is_recorded_and_the_daemon_ends_with_it(tmp_path, capture):
    daemon = programs.Daemon(tmp_path, [f"file:{capture}"])
    done = programs.run(programs.SPANTAPED, "--config", daemon.config_path, "--set", "capture.pace=max", "--set",
                        "capture.exit_at_end=true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ready xml=127.0.0.1:")


# --- spantape

def test_record_makes_one_file_of_one_call(tmp_path, capture):
    recordings = programs.spantape_json("record", capture, "--store", tmp_path / "store", "--out", tmp_path / "out")
    assert len(recordings) == 1
    recording = recordings[0]
    assert recording["state"] == "stored" and recording["device_id"] == "7001" and recording["ani"] == "5551234"
    assert recording["ledger"]["stored"] == 200 and recording["ledger"]["lost_before"] == 0
    assert recording["recording_time"] == pytest.approx(1_700_000_000.0, abs=0.05)
    assert recording["duration"] == pytest.approx(2.0, abs=0.05)
    assert sorted(s["side"] for s in recording["streams"]) == ["device", "far"]
    assert all(s["codec"] == "PCMU" and s["clock_rate"] == 8000 and s["packets"] == 100 for s in recording["streams"])
    wav = audio.Wav(str(tmp_path / "out" / recording["file"]))
    assert wav.duration == pytest.approx(2.0, abs=0.05)


def test_record_without_audio_leaves_the_store_alone_to_tell(tmp_path, capture):
    store = tmp_path / "store"
    recordings = programs.spantape_json("record", capture, "--store", store, "--format", "none", "--out", tmp_path / "out")
    assert [r["ledger"]["stored"] for r in recordings] == [200]
    assert "file" not in recordings[0] and not (tmp_path / "out").exists()
    kept = programs.spantape_json("calls", "--store", store)
    assert [r["ident"] for r in kept] == [recordings[0]["ident"]]


def test_record_prints_a_table_for_people(tmp_path, capture):
    done = programs.run(programs.SPANTAPE, "record", capture, "--store", tmp_path / "store", "--out", tmp_path / "out")
    assert done.returncode == 0
    assert "7001" in done.stdout and ".wav" in done.stdout


def test_recording_the_same_call_twice_gives_rising_idents(tmp_path, capture):
    idents = [programs.spantape_json("record", capture, "--store", tmp_path / "store", "--out", tmp_path / "out")[0]["ident"]
              for _ in range(2)]
    assert 0 < idents[0] < idents[1]


@pytest.mark.parametrize("arguments", [["record"], ["frobnicate"], ["record", "--frobnicate", "x"], ["export"]])
def test_wrong_use_exits_2(arguments):
    done = programs.run(programs.SPANTAPE, *arguments)
    assert done.returncode == 2 and done.stderr


def test_a_file_that_is_not_there_or_no_capture_exits_1(tmp_path):
    done = programs.run(programs.SPANTAPE, "record", tmp_path / "none.pcap", "--store", tmp_path / "s", "--out", tmp_path)
    assert done.returncode == 1 and "none.pcap" in done.stderr
    (tmp_path / "text.pcap").write_text("this is no capture\n")
    done = programs.run(programs.SPANTAPE, "record", tmp_path / "text.pcap", "--store", tmp_path / "s", "--out", tmp_path)
    assert done.returncode == 1 and "text.pcap" in done.stderr


class TestAgainstADaemon:
    @pytest.fixture(scope="class")
    def daemon(self, networks, tmp_path_factory):
        cable = network.Port()
        appliance = programs.Daemon(tmp_path_factory.mktemp("cli"), [f"pcap:{cable.inside}"])
        yield appliance.start()
        appliance.kill()
        cable.close()

    def ask(self, daemon, *arguments):
        return programs.run(programs.SPANTAPE, *arguments, "--server", f"127.0.0.1:{daemon.ports['xml']}")

    def test_send_passes_xml_through(self, daemon, tmp_path):
        (tmp_path / "request.xml").write_text(request_text("TEST", 42))
        done = self.ask(daemon, "send", tmp_path / "request.xml")
        assert done.returncode == 0 and "<REQUESTID>42</REQUESTID>" in done.stdout

    def test_devices_channels_and_status_are_shown(self, daemon):
        with XmlClient(daemon.ports["xml"]) as client:
            client.ask("CALLSTART", DEVICEID="7001", ANI="5550001")
            done = self.ask(daemon, "devices")
            assert done.returncode == 0 and "7001" in done.stdout
            assert self.ask(daemon, "channels").returncode == 0
            assert self.ask(daemon, "status").returncode == 0
            client.ask("CALLSTOP", DEVICEID="7001")

    def test_a_server_that_is_not_there_exits_1(self):
        done = programs.run(programs.SPANTAPE, "devices", "--server", "127.0.0.1:1")
        assert done.returncode == 1 and done.stderr
