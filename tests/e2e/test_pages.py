# SPDX-License-Identifier: AGPL-3.0-or-later
"""What browsers and players ask the WebAPI for by paths of their own: recordings by FILENAME, and waveforms."""

import array
import json
import struct
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from support import audio, programs
from support.clients import Subscriber, WebClient

WIDTH, HEIGHT = 400, 100
DARK, SILENT, LOST = b"\x38\x38\x3c", b"\xe8\xe8\xe8", b"\xd6\x27\x28"


@pytest.fixture(scope="module")
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]})
    appliance.start()
    yield appliance
    appliance.kill()


def drop_packets(exchange, call, seconds, both=True):
    """Nothing is sent for so long, and its numbers go on as if it had been."""
    with exchange.lock:
        exchange.open.remove(call)
    time.sleep(seconds)
    with exchange.lock:
        if both:
            call.count += round(seconds / 0.02)
        exchange.open.append(call)


@pytest.fixture(scope="module")
def recording(daemon, exchange):
    """Two seconds of talk, one in the dark, one of talk, one of which nothing came, and one of talk."""
    subscriber = Subscriber(daemon.ports["events"])
    call = exchange.call("7901")
    subscriber.wait_type("RECORDINGSTARTED", "7901")
    web = WebClient(daemon.ports["webapi"])
    time.sleep(2)
    assert web.ask("BLACKOUTSTART", deviceid="7901").code == 20
    time.sleep(1)
    assert web.ask("BLACKOUTSTOP", deviceid="7901").code == 20
    time.sleep(1)
    drop_packets(exchange, call, 1)
    time.sleep(1)
    call.end()
    ident = subscriber.wait_type("RECORDINGUPDATE", "7901").data["RECORDID"]
    subscriber.close()
    return next(r for r in programs.spantape_json("calls", "--store", daemon.store) if r["ident"] == int(ident))


def get(daemon, path, method="GET", **headers):
    """(status, headers, body)"""
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.ports['webapi']}{path}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def path_of(daemon, recording):
    assert recording["filename"].startswith(daemon.store + "/")
    return "/recordings" + urllib.parse.quote(recording["filename"][len(daemon.store):])


def test_a_recording_is_served_by_its_filename(daemon, recording):
    path = path_of(daemon, recording)
    wav = WebClient(daemon.ports["webapi"]).export("ident", str(recording["ident"]))
    status, headers, body = get(daemon, path)
    assert (status, headers["Content-Type"], body) == (200, "audio/wav", wav)
    status, headers, body = get(daemon, path, Range="bytes=1000-1999")
    assert (status, headers["Content-Range"], body) == (206, f"bytes 1000-1999/{len(wav)}", wav[1000:2000])
    status, headers, body = get(daemon, path, "HEAD")
    assert (status, int(headers["Content-Length"]), body) == (200, len(wav), b"")
    status, headers, body = get(daemon, path[:-3] + "mp3?anything=1")
    assert (status, headers["Content-Type"]) == (200, "audio/mpeg") and len(body) > 1000


@pytest.mark.parametrize("path, status", [("/recordings/20260101/7901/7901-00-00-00.wav", 404), ("/recordings/", 404),
                                          ("/recordings/20260101/7901/x.doc", 400), ("/waveform", 400),
                                          ("/waveform?uniquefield=ident&uniqueid=999", 404),
                                          ("/waveform?uniquefield=ident&uniqueid=1&width=0", 400)])
def test_what_is_not_there_has_a_status(daemon, recording, path, status):
    assert get(daemon, path)[0] == status


def test_they_are_only_read(daemon, recording):
    assert get(daemon, path_of(daemon, recording), "POST")[0] == 405


def waveform(daemon, recording, **parameters):
    query = urllib.parse.urlencode({"uniquefield": "ident", "uniqueid": recording["ident"], **parameters})
    status, headers, body = get(daemon, f"/waveform?{query}")
    assert status == 200
    return headers["Content-Type"], body


def test_its_figures_are_those_of_the_audio(daemon, recording):
    content_type, body = waveform(daemon, recording, width=WIDTH, media_format="json")
    assert content_type == "application/json"
    figures = json.loads(body)
    wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", str(recording["ident"])))
    assert figures["seconds"] == pytest.approx(wav.duration, abs=0.001)
    for side, channel in zip(("device", "far"), wav.channels):
        samples = array.array("h", channel)
        assert len(figures[side]) == WIDTH
        columns = [[] for _ in range(WIDTH)]
        for at, sample in enumerate(samples):
            columns[at * WIDTH // len(samples)].append(sample)
        assert figures[side] == [[min(0, *each), max(0, *each)] for each in columns]
        # The second in which nothing came, and what is missing after it.
        [[column, packets]] = figures["lost"][side]
        assert packets == pytest.approx(50, abs=2)
        assert column * wav.duration / WIDTH == pytest.approx(5, abs=0.3)
        [*_, [begin, end]] = [each for each in figures["silent"][side] if each[1] < WIDTH - 20]
        assert (end - begin) * wav.duration / WIDTH == pytest.approx(0.9, abs=0.2) and column in (end - 1, end, end + 1)
    [[begin, end]] = figures["blackouts"]
    assert (begin, end) == (pytest.approx(2, abs=0.3), pytest.approx(3, abs=0.3))


def pixels(path, png):
    path.write_bytes(png)
    assert struct.unpack(">II", png[16:24]) == (WIDTH, HEIGHT)
    done = programs.run("ffmpeg", "-v", "error", "-y", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", f"{path}.rgb")
    assert done.returncode == 0 and not done.stderr, done.stderr
    with open(f"{path}.rgb", "rb") as file:
        rows = file.read()
    return lambda column, row: rows[3 * (row * WIDTH + column):][:3]


def test_the_picture_shows_blackout_loss_and_silence(daemon, recording, tmp_path):
    content_type, body = waveform(daemon, recording, width=WIDTH, height=HEIGHT)
    assert content_type == "image/png"
    pixel = pixels(tmp_path / "a.png", body)
    figures = json.loads(waveform(daemon, recording, width=WIDTH, media_format="json")[1])

    def column_at(seconds):
        return int(seconds / figures["seconds"] * WIDTH)

    dark = sum(figures["blackouts"][0]) / 2
    assert pixel(column_at(dark), 10) == DARK and pixel(column_at(dark), HEIGHT - 10) == DARK
    lost = figures["lost"]["device"][0][0]
    assert pixel(lost, 0) == LOST and pixel(lost - 10, 10) == SILENT
    assert pixel(figures["lost"]["far"][0][0], HEIGHT - 1) == LOST
    # Talk is blue above and green below.
    assert pixel(column_at(1), HEIGHT // 4) == b"\x1f\x77\xb4" and pixel(column_at(1), 3 * HEIGHT // 4) == b"\x2c\x8c\x46"


def test_the_command_line_gives_the_same_picture(daemon, recording, tmp_path):
    query = urllib.parse.urlencode({"uniquefield": "ident", "uniqueid": recording["ident"]})
    served = get(daemon, f"/waveform?{query}")[2]
    for number, where in enumerate((["--webapi", f"127.0.0.1:{daemon.ports['webapi']}"], ["--store", daemon.store])):
        picture = tmp_path / f"{number}.png"
        done = programs.run(programs.SPANTAPE, "export", recording["ident"], "--picture", picture, *where)
        assert done.returncode == 0 and done.stdout.strip() == str(picture), done.stderr
        assert picture.read_bytes() == served


def test_who_looked_is_in_the_audit_log(daemon, recording):
    waveform(daemon, recording)
    get(daemon, path_of(daemon, recording))

    def noted(function):
        with open(f"{daemon.store}/log/audit.jsonl", encoding="utf-8") as file:
            return any(function in (line.get("what"), line.get("function")) and recording["ident"] in line.get("recordings", [])
                       for line in map(json.loads, file))

    for function in ("WAVEFORM", "EXPORT"):
        programs.wait_until(lambda each=function: noted(each), 10, f"the audit line of {function}")
