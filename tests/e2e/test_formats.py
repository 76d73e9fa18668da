# SPDX-License-Identifier: AGPL-3.0-or-later
"""Recordings as MP3, M4A, VOX, FLAC and Ogg, read with ffmpeg, ffprobe, sox and unzip and compared with the WAV file."""

import array
import json
import math
import os
from xml.etree import ElementTree

import pytest

from support import audio, cav, programs
from support.clients import WebClient, XmlClient
from support.mail import MailServer

SECONDS = 12
STEREO = {"wav", "flac", "ogg"}
TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "m4a": "audio/mp4", "vox": "audio/x-vox", "flac": "audio/flac",
         "ogg": "audio/ogg"}
CODECS = {"mp3": "mp3", "m4a": "aac", "flac": "flac", "ogg": "opus"}
FORMATS = sorted(TYPES)
LEAST_DB = {"wav": 200, "flac": 200, "m4a": 18, "mp3": 18, "ogg": 24, "vox": 17}
MOST_LAG = {"mp3": 2500, "m4a": 2048}  # samples; the encoder's delay


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """What the two sides say, 8 kHz."""
    directory = tmp_path_factory.mktemp("speech")
    files = []
    for number, text in enumerate(("The quick brown fox jumps over the lazy dog. Please hold the line.",
                                   "Good morning, I have a question about my last bill, it is twice what it was.")):
        said, spoken = directory / "said.wav", directory / f"{number}.wav"
        assert programs.run("espeak-ng", "-w", said, text).returncode == 0
        assert programs.run("sox", said, "-r", 8000, "-b", 16, "-c", 1, spoken).returncode == 0
        files.append(str(spoken))
    return ",".join(files)


@pytest.fixture(scope="module")
def mail():
    server = MailServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def daemon(directory, speech, mail):
    capture = directory / "calls.pcap"
    made = programs.run(programs.SPANTAPE_GEN, "--calls", 2, "--seconds", SECONDS, "--audio", speech, "--out", capture)
    assert made.returncode == 0, made.stderr
    appliance = programs.Daemon(directory, [], mail={"server": mail.url, "from": "recorder@example.com", "retry": 0.5})
    kept = programs.run(programs.SPANTAPE, "record", capture, "--store", appliance.store, "--format", "none")
    assert kept.returncode == 0, kept.stderr
    appliance.start()
    yield appliance
    appliance.kill()


@pytest.fixture(scope="module")
def idents(daemon):
    return sorted(str(recording["ident"]) for recording in programs.spantape_json("calls", "--store", daemon.store))


def samples(data):
    return array.array("h", data)


def mono(channels):
    return array.array("h", (max(-32768, min(32767, sum(both))) for both in zip(*map(samples, channels))))


@pytest.fixture(scope="module")
def wavs(daemon, idents):
    client = WebClient(daemon.ports["webapi"])
    return {ident: audio.Wav(client.export("ident", ident)) for ident in idents}


def export(daemon, ident, media_format):
    return WebClient(daemon.ports["webapi"]).get(type="export", requestid=1, uniquefield="ident", uniqueid=ident,
                                                 media_format=media_format)


def decoded(path, media_format):
    """Channels of the file, as ffmpeg (sox: VOX) reads it, at 8 kHz."""
    wav = f"{path}.decoded.wav"
    command = (["sox", "-t", "vox", "-r", "8000", path, wav] if media_format == "vox"
               else ["ffmpeg", "-v", "error", "-y", "-i", path, "-ar", "8000", "-c:a", "pcm_s16le", wav])
    done = programs.run(*command)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    return audio.Wav(wav).channels


def best_lag(meant, got, most):
    """Where the loudest half second is found again."""
    window = 4000
    begin = max(range(0, len(meant) - window - most, 1000), key=lambda at: sum(abs(s) for s in meant[at:at + window]))
    part = meant[begin:begin + window:3]
    return max(range(most + 1), key=lambda lag: sum(map(int.__mul__, part, got[begin + lag:begin + lag + window:3])))


def signal_to_noise_db(meant, got, most_lag):
    meant, got = samples(meant), samples(got)
    lag = best_lag(meant, got, most_lag) if most_lag else 0
    length = min(len(meant), len(got) - lag)
    assert length > len(meant) - 800
    noise = sum((meant[i] - got[i + lag]) ** 2 for i in range(length))
    return 10 * math.log10(sum(s * s for s in meant[:length]) / max(noise, 1e-9)), lag


def sounds_as(path, media_format, wav):
    channels = decoded(path, media_format)
    meant = wav.channels if media_format in STEREO else [mono(wav.channels).tobytes()]
    assert len(channels) == len(meant)
    for one, other in zip(meant, channels):
        assert 0 <= len(other) // 2 - wav.frames <= MOST_LAG.get(media_format, 2) + 1152
        db, lag = signal_to_noise_db(one, other, MOST_LAG.get(media_format, 0))
        assert db >= LEAST_DB[media_format], (media_format, db, lag)


@pytest.mark.parametrize("media_format", FORMATS)
def test_an_export_sounds_as_the_wav_file(daemon, idents, wavs, media_format, tmp_path):
    ident = idents[0]
    status, headers, body = export(daemon, ident, media_format.upper())
    assert status == 200 and headers["Content-Type"] == TYPES[media_format]
    recording = next(r for r in programs.spantape_json("calls", "--store", daemon.store) if str(r["ident"]) == ident)
    name = os.path.splitext(os.path.basename(recording["filename"]))[0]
    assert f'"{name}.{media_format}"' in headers["Content-Disposition"]
    # The size is told where it is known beforehand: of the others each piece is sent as it is made.
    if media_format in ("wav", "vox"):
        assert int(headers["Content-Length"]) == len(body)
    else:
        assert headers["Content-Length"] is None and headers["Transfer-Encoding"] == "chunked"
    if media_format == "vox":
        assert len(body) == (wavs[ident].frames + 1) // 2
    path = tmp_path / f"a.{media_format}"
    path.write_bytes(body)
    sounds_as(path, media_format, wavs[ident])


@pytest.mark.parametrize("media_format", sorted(CODECS))
def test_ffprobe_finds_what_the_format_promises(daemon, idents, wavs, media_format, tmp_path):
    path = tmp_path / f"a.{media_format}"
    path.write_bytes(export(daemon, idents[0], media_format)[2])
    done = programs.run("ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", path)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    found = json.loads(done.stdout)
    [stream] = found["streams"]
    assert stream["codec_name"] == CODECS[media_format]
    assert int(stream["sample_rate"]) == (48000 if media_format == "ogg" else 8000)  # Opus is always of 48 kHz
    assert stream["channels"] == (2 if media_format in STEREO else 1)
    # Whole frames of MP3 and AAC, of 72 and 128 ms at this rate, with the delay before.
    more = {"mp3": 0.3, "m4a": 0.27}.get(media_format, 0.01)
    assert -0.001 <= float(found["format"]["duration"]) - wavs[idents[0]].duration <= more


@pytest.mark.parametrize("media_format", FORMATS)
def test_recordings_are_one_file(daemon, idents, wavs, media_format, tmp_path):
    web = WebClient(daemon.ports["webapi"])
    status, headers, body = web.get(type="combinedexport", requestid=1, ident=",".join(idents),
                                    media_format=media_format)
    assert status == 200 and headers["Content-Type"] == TYPES[media_format]
    assert f"recordings-{idents[0]}-{idents[-1]}.{media_format}" in headers["Content-Disposition"]
    path = tmp_path / f"all.{media_format}"
    path.write_bytes(body)
    combined = audio.Wav(web.get(type="combinedexport", requestid=1, ident=",".join(idents), media_format="wav")[2])
    sounds_as(path, media_format, combined)


@pytest.mark.parametrize("media_format", ["mp3", "vox", "ogg"])
def test_a_zip_archive_of_them_is_unpacked(daemon, idents, wavs, media_format, tmp_path):
    status, headers, body = WebClient(daemon.ports["webapi"]).get(
        type="multiexport", requestid=1, ident=",".join(idents), media_format=media_format)
    assert status == 200 and headers["Content-Type"] == "application/zip"
    (tmp_path / "all.zip").write_bytes(body)
    assert programs.run("unzip", "-tq", tmp_path / "all.zip").returncode == 0
    assert programs.run("unzip", "-q", tmp_path / "all.zip", "-d", tmp_path / "out").returncode == 0
    names = sorted(os.listdir(tmp_path / "out"))
    assert len(names) == len(idents) and all(name.endswith("." + media_format) for name in names)
    for name in names:
        ident = next(str(r["ident"]) for r in programs.spantape_json("calls", "--store", daemon.store)
                     if os.path.splitext(os.path.basename(r["filename"]))[0] == os.path.splitext(name)[0])
        sounds_as(tmp_path / "out" / name, media_format, wavs[ident])


def mailed(daemon, mail, **parameters):
    before = len(mail.inbox.mails)
    with XmlClient(daemon.ports["xml"], timeout_s=30) as client:
        answer = client.ask(parameters.pop("request_type"), TOADDRESS="qa@example.com", **parameters)
    assert answer.code == 20, answer
    [part] = list(mail.inbox.wait(before + 1).iter_attachments())
    return part


def test_recordings_are_mailed_in_the_format_asked_for(daemon, idents, wavs, mail, tmp_path):
    part = mailed(daemon, mail, request_type="EMAIL", UNIQUEFIELD="ident", UNIQUEID=idents[0], MEDIA_FORMAT="mp3")
    assert part.get_content_type() == "audio/mpeg" and part.get_filename().endswith(".mp3")
    (tmp_path / "a.mp3").write_bytes(part.get_content())
    sounds_as(tmp_path / "a.mp3", "mp3", wavs[idents[0]])
    part = mailed(daemon, mail, request_type="COMBINEDEMAIL", IDENT=",".join(idents), MEDIA_FORMAT="OGG")
    assert part.get_content_type() == "audio/ogg"
    assert part.get_filename() == f"recordings-{idents[0]}-{idents[-1]}.ogg"


def test_a_queued_mail_keeps_its_format_over_a_restart(daemon, idents, wavs, mail, tmp_path):
    before = len(mail.inbox.mails)
    mail.inbox.busy = 1
    with XmlClient(daemon.ports["xml"], timeout_s=30) as client:
        answer = client.ask("EMAIL", UNIQUEFIELD="ident", UNIQUEID=idents[0], TOADDRESS="x@example.com",
                            MEDIA_FORMAT="FLAC")
    assert answer.code == 20 and answer["RESULTMSG"].startswith("queued: ")
    daemon.kill()
    daemon.start()
    [part] = list(mail.inbox.wait(before + 1).iter_attachments())
    assert part.get_content_type() == "audio/flac" and part.get_filename().endswith(".flac")
    (tmp_path / "a.flac").write_bytes(part.get_content())
    sounds_as(tmp_path / "a.flac", "flac", wavs[idents[0]])


@pytest.mark.parametrize("media_format, code", [("doc", 16), ("", 16)])
def test_a_format_that_there_is_not(daemon, idents, media_format, code):
    answer = WebClient(daemon.ports["webapi"]).ask("EXPORT", uniquefield="ident", uniqueid=idents[0],
                                                   media_format=media_format)
    assert answer.code == code


@pytest.mark.parametrize("media_format", FORMATS)
def test_the_command_line_gives_the_same_bytes(daemon, idents, media_format, tmp_path):
    body = export(daemon, idents[0], media_format)[2]
    for where in (["--webapi", f"127.0.0.1:{daemon.ports['webapi']}"], ["--store", daemon.store]):
        out = tmp_path / where[0].strip("-")
        done = programs.run(programs.SPANTAPE, "export", idents[0], "--format", media_format, "--out", out, *where)
        assert done.returncode == 0, done.stderr
        [name] = os.listdir(out)
        assert name.endswith("." + media_format) and done.stdout.strip().endswith(name)
        if media_format == "ogg":  # its serial number is drawn by lot
            assert abs((out / name).stat().st_size - len(body)) < 100
        else:
            assert (out / name).read_bytes() == body


def test_record_writes_the_format_asked_for(daemon, tmp_path):
    done = programs.run(programs.SPANTAPE, "record", os.path.join(daemon.directory, "calls.pcap"), "--format", "m4a",
                        "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    names = os.listdir(tmp_path)
    assert len(names) == 2 and all(name.endswith(".m4a") for name in names)
    for name in names:
        assert programs.run("ffprobe", "-v", "error", tmp_path / name).returncode == 0


# --- CAV, raw, and VOX by the other convention

def open_with_cli(path, out, *more):
    return programs.run(programs.SPANTAPE, "cav", path, "--out", out, *more)


@pytest.mark.parametrize("password", [None, "S3cret & \u00e4\u20ac"])
def test_a_cav_file_holds_the_audio_and_the_calls_fields(daemon, idents, password, tmp_path):
    sealing = {"encrypt": "Y", "password": password} if password else {}
    status, headers, body = WebClient(daemon.ports["webapi"]).get(
        type="export", requestid=1, uniquefield="ident", uniqueid=idents[0], media_format="CAV", **sealing)
    assert status == 200 and int(headers["Content-Length"]) == len(body)
    fields, wav = cav.read(body, password)
    assert wav == export(daemon, idents[0], "wav")[2]
    [recording] = ElementTree.fromstring(fields).iter("RECORDING")
    said = next(r for r in programs.spantape_json("calls", "--store", daemon.store) if str(r["ident"]) == idents[0])
    assert (recording.findtext("IDENT"), recording.findtext("DEVICE_ID"), recording.findtext("ANI")) == \
        (idents[0], said["device_id"], said["ani"])
    assert password is None or wav[:200] not in body
    # And as `spantape cav` opens it.
    path, secret = tmp_path / "call.cav", tmp_path / "password"
    path.write_bytes(body)
    secret.write_text(f"{password}\n", encoding="utf-8")
    done = open_with_cli(path, tmp_path / "out", *(["--password-file", secret] if password else []))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "call.wav").read_bytes() == wav and (tmp_path / "out" / "call.xml").read_bytes() == fields
    if password:
        secret.write_text("another\n", encoding="utf-8")
        for more, said in (([], "sealed with a password"), (["--password-file", secret], "another password")):
            done = open_with_cli(path, tmp_path / "none", *more)
            assert done.returncode == 1 and said in done.stderr
    damaged = bytearray(body)
    damaged[len(body) // 2] ^= 1
    path.write_bytes(damaged)
    secret.write_text(f"{password}\n", encoding="utf-8")
    done = open_with_cli(path, tmp_path / "none", *(["--password-file", secret] if password else []))
    assert done.returncode == 1 and "altered" in done.stderr and not os.listdir(tmp_path / "none")


def test_encrypt_requires_a_password(daemon, idents):
    answer = WebClient(daemon.ports["webapi"]).ask("EXPORT", uniquefield="ident", uniqueid=idents[0], media_format="CAV",
                                                   encrypt="Y")
    assert answer.code == 16 and "PASSWORD" in answer["RESULTMSG"]


def test_the_command_line_seals_cav_files_of_a_store(daemon, idents, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("from a file\n")
    done = programs.run(programs.SPANTAPE, "export", idents[0], "--store", daemon.store, "--format", "cav", "--out",
                        tmp_path, "--password-file", secret)
    assert done.returncode == 0, done.stderr
    with open(done.stdout.strip(), "rb") as file:
        assert cav.read(file.read(), "from a file")[1] == export(daemon, idents[0], "wav")[2]


def test_a_sealed_mail_that_waits_is_sealed_with_its_password_after_a_restart(daemon, idents, mail):
    before = len(mail.inbox.mails)
    mail.inbox.busy = 1
    with XmlClient(daemon.ports["xml"], timeout_s=30) as client:
        answer = client.ask("COMBINEDEMAIL", IDENT=",".join(idents), TOADDRESS="x@example.com", MEDIA_FORMAT="CAV",
                            ENCRYPT="Y", PASSWORD="kept from all")
    assert answer.code == 20 and answer["RESULTMSG"].startswith("queued: ")
    daemon.kill()
    for folder, _, names in os.walk(daemon.store):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                assert b"kept from all" not in file.read(), name
    daemon.start()
    [part] = list(mail.inbox.wait(before + 1).iter_attachments())
    fields, wav = cav.read(part.get_content(), "kept from all")
    assert fields.count(b"<RECORDING>") == len(idents) and wav[:4] == b"RIFF"


def test_raw_is_every_packet_as_it_came(daemon, idents, tmp_path):
    status, headers, body = export(daemon, idents[0], "raw")
    assert status == 200 and ".pcap" in headers["Content-Disposition"]
    path = tmp_path / "raw.pcap"
    path.write_bytes(body)
    capture = os.path.join(daemon.directory, "calls.pcap")

    def packets(file):
        done = programs.run("tshark", "-r", file, "-d", "udp.port==1-65535,rtp", "-Y", "rtp", "-T", "fields", "-e",
                            "frame.time_epoch", "-e", "ip.src", "-e", "udp.srcport", "-e", "ip.dst", "-e", "udp.dstport",
                            "-e", "rtp.ssrc", "-e", "rtp.seq", "-e", "rtp.timestamp", "-e", "rtp.p_type", "-e",
                            "rtp.marker", "-e", "rtp.payload", "-e", "ip.checksum.status", "-e", "udp.checksum.status",
                            "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    ours = packets(path)
    assert {tuple(line[-2:]) for line in ours} == {("1", "1")}  # their checksums are good
    [said] = [r for r in programs.spantape_json("calls", "--store", daemon.store) if str(r["ident"]) == idents[0]]
    ssrcs = {f"0x{int(stream['ssrc'], 16):08x}" for stream in said["streams"]}
    sent = [line for line in packets(capture) if line[5] in ssrcs]
    key = [line[1:-2] for line in ours]
    assert sorted(key) == sorted(line[1:-2] for line in sent) and len(key) > 100
    times = [float(line[0]) for line in ours]
    assert times == sorted(times)


def test_vox_may_be_mulaw(daemon, idents, wavs, tmp_path):
    daemon.stop()
    with open(daemon.config_path, "r+", encoding="utf-8") as file:
        before = file.read()
        file.write('[export]\nvox = "mulaw"\n')
    try:
        daemon.start()
        body = export(daemon, idents[0], "vox")[2]
        assert daemon.stop() == 0
    finally:
        with open(daemon.config_path, "w", encoding="utf-8") as file:
            file.write(before)
        daemon.start()
    (tmp_path / "a.ul").write_bytes(body)
    done = programs.run("sox", "-t", "ul", "-r", "8000", "-c", "1", tmp_path / "a.ul", "-e",
                        "signed", "-b", "16", tmp_path / "a.wav")
    assert done.returncode == 0, done.stderr
    got = audio.Wav(str(tmp_path / "a.wav")).channels[0]
    assert len(got) == len(wavs[idents[0]].channels[0])
    assert signal_to_noise_db(mono(wavs[idents[0]].channels), got, 0)[0] > 30
