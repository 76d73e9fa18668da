# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may do what: users of the WebAPI, roles and groups, TLS with client certificates, rates, certificates anew."""

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time

import pytest

from support import programs
from support.clients import Answer, Subscriber, XmlClient, request_text
from support.mail import certificate


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """A certificate authority and the clients' certificates that it has signed."""

    def __init__(self, directory, name="Call Centre"):
        self.directory = directory
        self.file, self.key = directory / f"{name}.ca.crt", directory / f"{name}.ca.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-out", self.file,
                "-keyout", self.key)

    def client(self, name):
        key, request, signed = (self.directory / f"{name}.{end}" for end in ("key", "csr", "crt"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-out", request, "-keyout", key)
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-CAcreateserial", "-days", "2",
                "-out", signed)
        context = ssl.create_default_context(cafile=None)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(signed, key)
        return context


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def daemon(directory, port, authority):
    crt, key = certificate(directory)
    appliance = programs.Daemon(
        directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
        api={"xml_tls": "127.0.0.1:0", "client_ca": str(authority.file)},
        webapi={"users": True, "tls": "127.0.0.1:0", "cert": str(crt), "key": str(key)})
    appliance.start()
    yield appliance
    appliance.kill()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def web(daemon, authorization=None, tls=None, port=None, **parameters):
    """(status, headers, Answer or body) of one WebAPI request."""
    from urllib.parse import urlencode
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    options = {"context": tls} if tls else {}
    connection = kind("127.0.0.1", port or daemon.ports["tls" if tls else "webapi"], timeout=20, **options)
    headers = {"Authorization": authorization} if authorization else {}
    connection.request("GET", "/webAPI.aspx?" + urlencode({"requestid": 1, **parameters}), headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    is_document = response.status == 200 and response.headers["Content-Type"].startswith("text/xml")
    return response.status, response.headers, Answer(body.decode()) if is_document else body


def ask(daemon, request_type, **parameters):
    with XmlClient(daemon.ports["xml"]) as client:
        answer = client.ask(request_type, **parameters)
        assert answer.code == 20, answer
        return answer


@pytest.fixture(scope="module")
def people(daemon):
    """alice may see Sales, bob everything, carol (inactive) and dave (no role) nothing."""
    for name in ("alice", "bob", "carol", "dave"):
        ask(daemon, "IMPORTUSER", ACTION="ADD", FIRSTNAME=name.capitalize(), LASTNAME="Test", USERNAME=name, STATUS="A",
            PASSWORD=f"{name}'s secret: é😀")
    ask(daemon, "IMPORTUSER", ACTION="ADD", FIRSTNAME="Sally", LASTNAME="Seller", USERNAME="sally", STATUS="A",
        PASSWORD="x")
    sally = ask(daemon, "IMPORTAGENTPHONE", ACTION="ADD", PHONEID="7001", FIRSTNAME="Sally", LASTNAME="Seller")["AGENTID"]
    ask(daemon, "ADDGROUP", GROUPNAME="Sales")
    ask(daemon, "MODIFYGROUPPERMISSION", ACTION="ADD", GROUPNAME="Sales", AGENTID=sally)
    ask(daemon, "MODIFYROLE", ACTION="ADD", ROLENAMES="Listener")
    ask(daemon, "ROLECLASSES", ROLENAMES="Listener", CLASSES="status,recordings,events,calls")
    ask(daemon, "MODIFYROLE", ACTION="ADD", ROLENAMES="Boss")
    ask(daemon, "ROLECLASSES", ROLENAMES="Boss", CLASSES="status,recordings,administration")
    ask(daemon, "MODIFYROLEGROUPPERMISSION", ACTION="ADD", ROLENAMESPACE="Listener", GROUPNAME="Sales")
    for user, role in (("alice", "Listener"), ("bob", "Boss"), ("carol", "Boss")):
        ask(daemon, "MODIFYUSERROLE", ACTION="ADD", ROLENAMES=role, USERNAME=user)
    carol = ask(daemon, "IMPORTUSER", ACTION="LIST").root.findall("AGENTS/AGENT")
    carol = next(a.findtext("AGENT_ID") for a in carol if a.findtext("FIRSTNAME") == "Carol")
    ask(daemon, "IMPORTUSER", ACTION="MODIFY", AGENTID=carol, STATUS="I")
    return {name: basic(name, f"{name}'s secret: é😀") for name in ("alice", "bob", "carol", "dave")}


@pytest.fixture(scope="module")
def recordings(daemon, exchange, people):
    """RECORDIDs: one of Sally's phone, one of nobody's."""
    events = Subscriber(daemon.ports["events"])
    found = {}
    for device in ("7001", "7002"):
        call = exchange.call(device)
        events.wait_type("RECORDINGSTARTED", device)
        time.sleep(0.5)
        call.end()
        found[device] = events.wait_type("RECORDINGUPDATE", device).data["RECORDID"]
    events.close()
    return found


# --- who is in

def test_without_a_user_the_webapi_asks_for_one(daemon, people):
    status, headers, _ = web(daemon, type="devicelist")
    assert status == 401
    assert headers.get_all("WWW-Authenticate") == ['Basic realm="Spantape", charset="UTF-8"', "Bearer"]


@pytest.mark.parametrize("user, status", [("alice", 200), ("bob", 200), ("carol", 401)])
def test_users_come_in_by_their_password_while_they_are_active(daemon, people, user, status):
    assert web(daemon, people[user], type="devicelist")[0] == status


@pytest.mark.parametrize("authorization", [
    basic("alice", "wrong"), basic("nobody", "x"), basic("alice", ""), basic("", ""), "Basic", "Basic !!!", "Bearer",
    "Bearer 0123", "Digest username=alice", "Basic " + base64.b64encode(b"no colon").decode(), "x" * 1000])
def test_what_is_no_login(daemon, people, authorization):
    assert web(daemon, authorization, type="devicelist")[0] == 401


def test_a_password_that_was_changed_holds_no_more(daemon, people):
    ask(daemon, "IMPORTUSER", ACTION="ADD", FIRSTNAME="Erin", LASTNAME="Test", USERNAME="erin", PASSWORD="old")
    ask(daemon, "MODIFYUSERROLE", ACTION="ADD", ROLENAMES="Listener", USERNAME="erin")
    assert web(daemon, basic("erin", "old"), type="devicelist")[0] == 200
    found = ask(daemon, "IMPORTUSER", ACTION="LIST").root.findall("AGENTS/AGENT")
    erin = next(a.findtext("AGENT_ID") for a in found if a.findtext("FIRSTNAME") == "Erin")
    ask(daemon, "IMPORTUSER", ACTION="MODIFY", AGENTID=erin, PASSWORD="new")
    assert web(daemon, basic("erin", "old"), type="devicelist")[0] == 401
    assert web(daemon, basic("erin", "new"), type="devicelist")[0] == 200


def test_a_token_comes_in_until_it_is_revoked(daemon, people):
    token = ask(daemon, "USERTOKEN", ACTION="ADD", USERNAME="alice", NAME="dashboard")["TOKEN"]
    assert len(token) == 64
    assert web(daemon, f"bearer {token}", type="devicelist")[0] == 200
    ask(daemon, "USERTOKEN", ACTION="DELETE", USERNAME="alice", NAME="dashboard")
    assert web(daemon, f"Bearer {token}", type="devicelist")[0] == 401
    for directory, _, files in os.walk(daemon.store):
        for name in files:
            with open(os.path.join(directory, name), "rb") as file:
                assert token.encode() not in file.read(), name


# --- what they may do

@pytest.mark.parametrize("user, request_type, code", [
    ("alice", "test", 20), ("alice", "channels", 20), ("alice", "calllist", 20), ("alice", "importuser", 44),
    ("alice", "recordingpurge", 44), ("bob", "calllist", 20), ("bob", "callstart", 44), ("bob", "events", 44),
    ("dave", "test", 20), ("dave", "channels", 44), ("dave", "calllist", 44), ("dave", "importuser", 44)])
def test_a_user_may_do_what_his_roles_say(daemon, people, user, request_type, code):
    answer = web(daemon, people[user], type=request_type, action="list")[2]
    assert answer.code == code
    if code == 44:
        assert answer["RESULTTYPE"] == "API_COMMAND_NOT_ALLOWED" and user in answer["RESULTMSG"]


def test_a_class_that_is_none(daemon, people):
    with XmlClient(daemon.ports["xml"]) as client:
        answer = client.ask("ROLECLASSES", ROLENAMES="Listener", CLASSES="status,cooking")
        assert (answer.code, answer["RESULTTYPE"]) == (51, "API_PERMISSIONIDENT_NOT_FOUND")
        assert client.ask("ROLECLASSES", ROLENAMES="No such", CLASSES="status").code == 52


def test_a_user_sees_the_recordings_of_his_groups_alone(daemon, people, recordings):
    def listed(user):
        answer = web(daemon, people[user], type="calllist")[2]
        return [r.findtext("RECORDID") for r in answer.root.findall("SEARCHRESULT")]
    assert listed("alice") == [recordings["7001"]]
    assert listed("bob") == [recordings["7002"], recordings["7001"]]


def test_a_user_sees_the_phones_of_his_groups_alone(daemon, people, recordings):
    def listed(user):
        answer = web(daemon, people[user], type="devicelist")[2]
        return {device.findtext("DEVICEID") for device in answer.root.iter("DEVICE")}
    assert listed("alice") == {"7001"}
    assert listed("bob") >= {"7001", "7002"}
    for request in ("devicestatus", "devicerecordingstatus"):
        for user, device, code in (("alice", "7001", 20), ("alice", "7002", 8), ("bob", "7002", 20)):
            assert web(daemon, people[user], type=request, deviceid=device)[2].code == code, (request, user, device)


@pytest.mark.parametrize("field", ["ident", "device_id"])
def test_a_user_gets_the_audio_of_his_groups_alone(daemon, people, recordings, field):
    for device, status in (("7001", "audio/wav"), ("7002", "text/xml; charset=utf-8")):
        value = recordings[device] if field == "ident" else device
        _, headers, answer = web(daemon, people["alice"], type="export", uniquefield=field, uniqueid=value,
                                 media_format="wav")
        assert headers["Content-Type"] == status
        if device == "7002":
            assert answer.code == (44 if field == "ident" else 41)
    both = ",".join(recordings.values())
    assert web(daemon, people["alice"], type="multiexport", ident=both)[2].code == 44
    assert web(daemon, people["bob"], type="multiexport", ident=both)[1]["Content-Type"] == "application/zip"


def test_a_user_changes_the_recordings_of_his_groups_alone(daemon, people, recordings):
    change = {"type": "callupdate", "user1": "mine"}
    assert web(daemon, people["alice"], recordid=recordings["7001"], **change)[2].code == 20
    assert web(daemon, people["alice"], recordid=recordings["7002"], **change)[2].code == 44
    assert web(daemon, people["alice"], deviceid="7002", update_if_not_recording="Y", **change)[2].code == 44


def test_a_user_hears_of_the_calls_of_his_groups_alone(daemon, people, exchange):
    connection = socket.create_connection(("127.0.0.1", daemon.ports["webapi"]), 20)
    connection.sendall(f"GET /webAPI.aspx?type=events&requestid=5 HTTP/1.1\r\nHost: x\r\n"
                       f"Authorization: {people['alice']}\r\n\r\n".encode())
    everything = Subscriber(daemon.ports["events"])
    for device in ("7002", "7001"):
        call = exchange.call(device)
        everything.wait_type("RECORDINGSTARTED", device)
        time.sleep(0.3)
        call.end()
        everything.wait_type("RECORDINGUPDATE", device)
    everything.close()
    text = b""
    while text.count(b"<EVENTTYPE>RECORDINGUPDATE") < 1:
        text += connection.recv(65536)
    connection.close()
    assert b"<DEVICEID>7001</DEVICEID>" in text and b"7002" not in text


def test_a_user_listens_to_the_calls_of_his_groups_alone(daemon, people, exchange):
    def listen(device, user):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["webapi"], timeout=20)
        connection.request("HEAD", f"/live/{device}", headers={"Authorization": people[user]} if user else {})
        status = connection.getresponse().status
        connection.close()
        return status

    everything = Subscriber(daemon.ports["events"])
    for device, alice in (("7002", 403), ("7001", 200)):
        call = exchange.call(device)
        everything.wait_type("RECORDINGSTARTED", device)
        assert listen(device, "alice") == alice
        assert listen(device, "bob") == 200
        assert listen(device, "dave") == 403 and listen(device, None) == 401
        call.end()
        everything.wait_type("RECORDINGUPDATE", device)
    everything.close()


def test_pages_beside_the_api_need_a_user_who_may_see_the_state(daemon, people):
    def metrics(authorization):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["webapi"], timeout=20)
        connection.request("GET", "/metrics", headers={"Authorization": authorization} if authorization else {})
        response = connection.getresponse()
        return response.status, response.read()
    assert metrics(None)[0] == 401 and metrics(people["dave"])[0] == 403
    status, body = metrics(people["alice"])
    assert status == 200 and b"spantape_" in body


# --- TLS

def tls_client(daemon, context, request_type, listener="xml_tls", **parameters):
    with socket.create_connection(("127.0.0.1", daemon.ports[listener]), 20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(request_text(request_type, **parameters).encode())
            text = b""
            while b"</RESULT>" not in text:
                piece = secure.recv(65536)
                assert piece, "closed"
                text += piece
            return Answer(text.decode().strip())


def test_a_client_certificate_opens_the_xml_api(daemon, people, authority):
    assert tls_client(daemon, authority.client("cti-server"), "CHANNELS").code == 20


def test_a_certificate_in_a_users_name_has_his_rights(daemon, people, authority, recordings):
    alice = authority.client("alice")
    assert tls_client(daemon, alice, "IMPORTUSER", ACTION="LIST").code == 44
    found = tls_client(daemon, alice, "CALLLIST").root.findall("SEARCHRESULT")
    assert {r.findtext("DEVICEID") for r in found} == {"7001"}
    # Over the WebAPI it is a log-in.
    assert web(daemon, tls=alice, type="channels")[0] == 200


def test_a_certificate_of_a_user_who_is_not_active_opens_nothing(daemon, people, authority):
    carol = authority.client("carol")
    answer = tls_client(daemon, carol, "CHANNELS")
    assert answer.code == 44 and "carol is not active" in answer["RESULTMSG"]
    assert web(daemon, tls=carol, type="channels")[0] == 403


def test_no_certificate_or_a_stranger_s_opens_nothing(daemon, people, tmp_path):
    stranger = Authority(tmp_path, "Stranger").client("alice")
    none = ssl.create_default_context()
    none.check_hostname, none.verify_mode = False, ssl.CERT_NONE
    for context in (none, stranger):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            tls_client(daemon, context, "TEST")


def test_a_new_certificate_is_served_without_a_restart(daemon, people, authority, directory):
    def served():
        context = authority.client("reload")
        with socket.create_connection(("127.0.0.1", daemon.ports["xml_tls"]), 20) as plain:
            with context.wrap_socket(plain) as secure:
                return secure.getpeercert(binary_form=True)
    before = served()
    open_before = socket.create_connection(("127.0.0.1", daemon.ports["xml"]), 20)
    certificate(directory)
    os.kill(daemon.pid, signal.SIGHUP)
    programs.wait_until(lambda: served() != before, 10, "the new certificate")
    open_before.sendall(request_text("TEST").encode())
    assert b"API_OK" in open_before.recv(4096)  # connections from before go on
    open_before.close()
    with open(directory / "mail.crt", "w", encoding="ascii") as file:
        file.write("no certificate")
    after = served()
    os.kill(daemon.pid, signal.SIGHUP)
    programs.wait_until(lambda: "TLS files stay as they were" in daemon.log(), 10, "the refusal")
    assert served() == after


# --- what is told of it

def test_the_audit_log_names_the_user_and_no_secret(daemon, people, recordings):
    web(daemon, people["bob"], type="calllist", requestid=99)
    def lines():
        with open(os.path.join(daemon.store, "log", "audit.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    programs.wait_until(lambda: any(line.get("user") == "bob" and line["what"] == "CALLLIST" for line in lines()), 10,
                        "bob's line")
    assert any(line["what"] == "DEVICELIST" and line["result"] == "API_COMMAND_NOT_ALLOWED" for line in lines())
    text = json.dumps(lines(), ensure_ascii=False) + daemon.log()
    assert "secret" not in text
    assert not any(value.split()[-1] in text for value in people.values())


# --- settings of their own

def test_clients_without_a_user_may_do_what_the_configuration_says(start_daemon, port, tmp_path):
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"],
                          api={"xml": "127.0.0.1:0", "events": "127.0.0.1:0", "unnamed": ["status"]})
    with XmlClient(daemon.ports["xml"]) as client:
        assert client.ask("CHANNELS").code == 20
        answer = client.ask("CALLSTART", DEVICEID="7001")
        assert answer.code == 44 and "clients without a user" in answer["RESULTMSG"]


def test_more_requests_a_second_than_allowed_are_refused_and_later_ones_answered(start_daemon, port, tmp_path):
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"],
                          api={"xml": "127.0.0.1:0", "events": "127.0.0.1:0", "rate": 20})
    with XmlClient(daemon.ports["xml"]) as client:
        client.send("".join(request_text("TEST", n) for n in range(200)))
        codes = [client.answer().code for _ in range(200)]
        assert set(codes) == {20, 47} and 20 <= codes.count(20) < 60
        time.sleep(1.1)
        assert client.ask("TEST").code == 20


def test_guessing_passwords_is_slowed_down(start_daemon, port, tmp_path):
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"], webapi={"listen": "127.0.0.1:0", "users": True})
    statuses = [web(daemon, basic("root", str(n)), type="test")[0] for n in range(14)]
    assert statuses[:10] == [401] * 10 and statuses[-1] == 503
