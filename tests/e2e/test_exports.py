# SPDX-License-Identifier: AGPL-3.0-or-later
"""COMBINEDEXPORT, MULTIEXPORT, EMAIL and COMBINEDEMAIL, received with programs that are not ours."""

import io
import json
import os
import socket
import time
import zipfile

import pytest

from support import audio, programs
from support.clients import Subscriber, WebClient, XmlClient
from support.mail import MailServer

DEVICES = ("7001", "7002", "7003")


@pytest.fixture(scope="module")
def mail(directory):
    server = MailServer(directory, login=("recorder", "seven words"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def daemon(directory, port, mail):
    password = directory / "password"
    password.write_text("seven words\n")
    appliance = programs.Daemon(
        directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
        mail={"server": mail.url, "user": "recorder", "password_file": str(password), "from": "recorder@example.com",
              "require_tls": True, "ca_file": str(mail.certificate), "retry": 0.5})
    appliance.start()
    yield appliance
    appliance.kill()


@pytest.fixture(scope="module")
def idents(daemon, exchange):
    """RECORDIDs of three recordings, and their audio as EXPORT gives it."""
    events = Subscriber(daemon.ports["events"])
    calls = [exchange.call(device) for device in DEVICES]
    for device in DEVICES:
        events.wait_type("RECORDINGSTARTED", device)
    time.sleep(1)
    found = {}
    for call, device in zip(calls, DEVICES):
        call.end()
        found[events.wait_type("RECORDINGUPDATE", device).data["RECORDID"]] = None
        time.sleep(0.3)
    events.close()
    client = WebClient(daemon.ports["webapi"])
    return {ident: audio.Wav(client.export("ident", ident)) for ident in found}


def ask(daemon, request_type, **parameters):
    with XmlClient(daemon.ports["xml"], timeout_s=30) as client:
        return client.ask(request_type, **parameters)


@pytest.mark.parametrize("name", ["combinedexport", "combineexport"])
def test_recordings_are_one_file_in_the_order_asked_for(web, idents, name):
    order = sorted(idents, reverse=True)
    status, headers, body = web.get(type=name, requestid=1, ident=",".join(order), media_format="wav")
    assert status == 200 and headers["Content-Type"] == "audio/wav"
    assert f"recordings-{order[0]}-{order[-1]}.wav" in headers["Content-Disposition"]
    combined = audio.Wav(body)
    for channel in range(2):
        assert combined.channels[channel] == b"".join(idents[ident].channels[channel] for ident in order)


def test_a_range_of_a_combined_file_is_given(web, idents):
    path = f"{web.page}?type=combinedexport&requestid=1&ident={','.join(idents)}&media_format=wav"
    _, _, whole = web.http("GET", path)
    status, _, part = web.http("GET", path, headers={"Range": "bytes=5000-5999"})
    assert status == 206 and part == whole[5000:6000]


@pytest.mark.parametrize("name", ["multiexport", "multieexport"])
def test_recordings_come_as_a_zip_archive(web, idents, name, tmp_path):
    status, headers, body = web.get(type=name, requestid=1, ident=", ".join(idents), media_format="wav")
    assert status == 200 and headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == len(idents) and all(n.endswith(".wav") for n in names)
        for member, wav in zip(names, idents.values()):
            assert audio.Wav(archive.read(member)).channels == wav.channels
    (tmp_path / "all.zip").write_bytes(body)
    assert programs.run("unzip", "-tq", tmp_path / "all.zip").returncode == 0


def test_the_same_recording_twice_has_two_names(web, idents):
    first = next(iter(idents))
    _, _, body = web.get(type="multiexport", requestid=1, ident=f"{first},{first}")
    names = zipfile.ZipFile(io.BytesIO(body)).namelist()
    assert len(set(names)) == 2 and names[1] == names[0].replace(".wav", "-2.wav")


@pytest.mark.parametrize("request_type", ["COMBINEDEXPORT", "MULTIEXPORT", "COMBINEDEMAIL"])
@pytest.mark.parametrize("ident, code", [("", 16), ("x", 16), ("1,,2", 16), ("-1", 16), ("999999", 41)])
def test_idents_that_are_none(daemon, web, request_type, ident, code):
    parameters = {"toaddress": "a@example.com"} if request_type == "COMBINEDEMAIL" else {}
    answer = web.ask(request_type, ident=ident, **parameters)
    assert answer.code == code
    assert code != 41 or "999999" in answer["RESULTMSG"]


def test_files_are_given_over_the_webapi_alone(daemon, idents):
    for request_type in ("COMBINEDEXPORT", "MULTIEXPORT"):
        assert ask(daemon, request_type, IDENT=",".join(idents)).code == 49


def attached(mail, expected_name):
    [part] = list(mail.iter_attachments())
    assert part.get_content_type() == "audio/wav" and part.get_filename() == expected_name
    return audio.Wav(part.get_content())


def test_a_recording_is_mailed(daemon, idents, mail):
    ident, wav = next(iter(idents.items()))
    before = len(mail.inbox.mails)
    answer = ask(daemon, "EMAIL", UNIQUEFIELD="ident", UNIQUEID=ident, TOADDRESS="qa@example.com", MEDIA_FORMAT="wav")
    assert answer.head()[2:] == [("RESULTTYPE", "API_OK"), ("RESULTCODE", "20"), ("RESULTMSG", "API_OK")]
    got = mail.inbox.wait(before + 1)
    assert mail.inbox.envelopes[-1] == ("recorder@example.com", ["qa@example.com"])
    assert (got["To"], got["From"]) == ("qa@example.com", "recorder@example.com")
    assert got["Subject"].startswith(f"Recording {ident}, device 7001")
    assert f"Recording {ident}: device 7001" in got.get_body().get_content()
    recording = next(r for r in programs.spantape_json("calls", "--store", daemon.store) if r["ident"] == int(ident))
    assert attached(got, os.path.basename(recording["filename"])).channels == wav.channels


def test_recordings_are_mailed_as_one_with_the_names_given(daemon, idents, mail):
    before = len(mail.inbox.mails)
    answer = ask(daemon, "COMBINEDEMAIL", TOADDRESS="qa@example.com", TONAME='Zoë "Q" Müller 😀',
                 FROMADDRESS="boss@example.com", FROMNAME="The Boss", IDENT=",".join(idents), UNIQUEID="IDENT")
    assert answer.code == 20
    got = mail.inbox.wait(before + 1)
    assert mail.inbox.envelopes[-1] == ("boss@example.com", ["qa@example.com"])
    [to], [sender] = got["To"].addresses, got["From"].addresses
    assert (to.display_name, to.addr_spec) == ('Zoë "Q" Müller 😀', "qa@example.com")
    assert (sender.display_name, sender.addr_spec) == ("The Boss", "boss@example.com")
    order = list(idents)
    wav = attached(got, f"recordings-{order[0]}-{order[-1]}.wav")
    assert wav.channels[0] == b"".join(idents[ident].channels[0] for ident in order)


@pytest.mark.parametrize("address", ["nobody@example.com", "no address", "a@b@c", "a@example.com\r\nBcc: x@example.com",
                                     "<a@example.com>", "@example.com", "a@", "a..b@example.com"])
def test_an_address_that_is_none_is_told(daemon, idents, mail, address):
    before = len(mail.inbox.mails)
    answer = ask(daemon, "EMAIL", UNIQUEFIELD="ident", UNIQUEID=next(iter(idents)), TOADDRESS=address)
    assert (answer.code, answer["RESULTTYPE"]) == (45, "API_EMAIL_NOT_VALID")
    assert len(mail.inbox.mails) == before


@pytest.mark.parametrize("parameters, code", [
    ({"UNIQUEFIELD": "ident", "UNIQUEID": "999999", "TOADDRESS": "a@example.com"}, 41),
    ({"UNIQUEFIELD": "user1", "UNIQUEID": "nothing", "TOADDRESS": "a@example.com"}, 41),
    ({"UNIQUEFIELD": "shoe_size", "UNIQUEID": "1", "TOADDRESS": "a@example.com"}, 16),
    ({"UNIQUEFIELD": "ident", "UNIQUEID": "1"}, 16),
    ({"UNIQUEFIELD": "ident", "TOADDRESS": "a@example.com"}, 16),
    ({"UNIQUEFIELD": "ident", "UNIQUEID": "1", "TOADDRESS": "a@example.com", "MEDIA_FORMAT": "doc"}, 16),
    ({"UNIQUEFIELD": "ident", "UNIQUEID": "1", "TOADDRESS": "a" * 250 + "@example.com"}, 16)])
def test_what_cannot_be_mailed(daemon, idents, parameters, code):
    assert ask(daemon, "EMAIL", **parameters).code == code


def test_a_mail_that_the_server_wants_later_comes_later_and_once(daemon, idents, mail):
    before = len(mail.inbox.mails)
    mail.inbox.busy = 2
    answer = ask(daemon, "EMAIL", UNIQUEFIELD="ident", UNIQUEID=next(iter(idents)), TOADDRESS="later@example.com")
    assert answer.code == 20 and answer["RESULTMSG"].startswith("queued: ")
    mail.inbox.wait(before + 1)
    assert mail.inbox.envelopes[-1][1] == ["later@example.com"]
    programs.wait_until(lambda: not os.listdir(os.path.join(daemon.store, "mail")), 10, "the queue is empty")
    assert len(mail.inbox.mails) == before + 1
    lines = [json.loads(line) for line in open(os.path.join(daemon.store, "log", "audit.jsonl"))]
    programs.wait_until(lambda: any(
        line.get("what") == "queued_mail" and line["result"] == "sent"
        for line in map(json.loads, open(os.path.join(daemon.store, "log", "audit.jsonl")))), 10, "its audit line")
    assert not any("seven words" in json.dumps(line) for line in lines) and "seven words" not in daemon.log()


def test_a_queued_mail_outlives_a_restart(daemon, idents, mail):
    before = len(mail.inbox.mails)
    mail.inbox.busy = 1
    assert ask(daemon, "EMAIL", UNIQUEFIELD="ident", UNIQUEID=next(iter(idents)), TOADDRESS="x@example.com").code == 20
    daemon.kill()
    daemon.start()
    mail.inbox.wait(before + 1)
    assert len(mail.inbox.mails) == before + 1


# --- servers that are not there, or not as wanted

def mail_with(start_daemon, port, tmp_path, **settings):
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"], **({"mail": settings} if settings else {}))
    return ask(daemon, "EMAIL", UNIQUEFIELD="ident", UNIQUEID="1", TOADDRESS="a@example.com")


def store_with_a_recording(tmp_path):
    pcap = tmp_path / "one.pcap"
    assert programs.run(programs.SPANTAPE_GEN, "--calls", 1, "--seconds", 1, "--out", pcap).returncode == 0
    done = programs.run(programs.SPANTAPE, "record", pcap, "--store", tmp_path / "store", "--format", "none")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", ["none", "closed", "no_tls", "not_trusted", "wrong_login"])
def test_no_server(start_daemon, port, tmp_path, mail, case):
    store_with_a_recording(tmp_path)
    free = socket.create_server(("127.0.0.1", 0))
    closed = free.getsockname()[1]
    free.close()
    (tmp_path / "wrong").write_text("six words\n")
    plain = MailServer() if case == "no_tls" else None
    settings = {"none": {},
                "closed": {"server": f"smtp://127.0.0.1:{closed}"},
                "no_tls": {"server": plain.url if plain else "", "require_tls": True},
                "not_trusted": {"server": mail.url},
                "wrong_login": {"server": mail.url, "ca_file": str(mail.certificate), "user": "recorder",
                                "password_file": str(tmp_path / "wrong")}}[case]
    before = len(mail.inbox.mails)
    answer = mail_with(start_daemon, port, tmp_path, **settings)
    if plain:
        plain.close()
        assert not plain.inbox.mails
    assert (answer.code, answer["RESULTTYPE"]) == (31, "API_ERROR_CLIENT_NOT_FOUND"), answer
    assert len(mail.inbox.mails) == before
