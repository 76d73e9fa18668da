# SPDX-License-Identifier: AGPL-3.0-or-later
"""The XML API, the event stream and the WebAPI, by the manual: golden exchanges and what they do to real calls."""

import os
import re
import time

import pytest

from support import audio, programs
from support.clients import Subscriber, WebClient, XmlClient, request_text

SENT = "{} sent to all of the following cores: 1"

# The manual's functions that a later version brings.
NOT_YET = ["CHATSTART", "CHATSTOP", "CHATUPDATE", "AGENTWINDOW"]
DEPRECATED = {"IMPORTAGENT": "IMPORTUSER", "IMPORTSTATION": "IMPORTWORKSTATION", "EXTENSIONPLAYBACKSTART": "",
              "EXTENSIONPLAYBACKSTOP": ""}


@pytest.fixture(scope="module")
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
                                recording={"channels": 8})
    appliance.start()
    yield appliance
    appliance.kill()


def head(request_type, code=20, label="API_OK", message=None, request_id=1):
    return [("REQUESTTYPE", request_type), ("REQUESTID", str(request_id)), ("RESULTTYPE", label),
            ("RESULTCODE", str(code)), ("RESULTMSG", message or label)]


def recorded_call(exchange, events, device, seconds=1.0):
    """Makes a call and waits until it is stored; returns (call, its RECORDINGUPDATE)."""
    call = exchange.call(device)
    events.wait_type("RECORDINGSTARTED", device)
    time.sleep(seconds)
    call.end()
    return call, events.wait_type("RECORDINGUPDATE", device)


# --- messages

def test_test_is_answered_as_in_the_manual(xml):
    answer = xml.ask_raw("<REQUEST>\n  <TYPE>TEST</TYPE>\n  <REQUESTID>1</REQUESTID>\n</REQUEST>\r\n")
    assert answer.head() == head("TEST")
    assert len(answer.root) == 5


@pytest.mark.parametrize("text", [
    "<request><type>test</type><requestid>1</requestid></request>\r\n",
    "<REQUEST><REQUESTTYPE> TEST </REQUESTTYPE><REQUESTID> 1 </REQUESTID></REQUEST>\n",
    "<TEST><REQUESTID>1</REQUESTID></TEST>\r\n",
    '<?xml version="1.0" encoding="utf-8"?>\r\n<REQUEST><TYPE>TEST</TYPE><REQUESTID>1</REQUESTID></REQUEST>\r\n',
    "\0<REQUEST><TYPE>TEST</TYPE><REQUESTID>1</REQUESTID></REQUEST>\r\n\0",
    "\r\n\r\n<REQUEST>\r\n<TYPE>TEST</TYPE>\r\n<REQUESTID>1</REQUESTID><WHATEVER>x</WHATEVER></REQUEST>",
])
def test_clients_that_write_otherwise_are_understood(xml, text):
    assert xml.ask_raw(text).head() == head("TEST")
    assert xml.ask("TEST").code == 20


def test_pipelined_requests_are_answered_in_order(xml):
    xml.send("".join(request_text("TEST", n) for n in range(100)))
    assert [xml.answer()["REQUESTID"] for _ in range(100)] == [str(n) for n in range(100)]


def test_a_client_that_half_closes_still_gets_every_answer(xml):
    xml.send("".join(request_text("TEST", n) for n in range(10)))
    xml.socket.shutdown(1)
    assert [xml.answer()["REQUESTID"] for _ in range(10)] == [str(n) for n in range(10)]
    assert xml.document() is None


@pytest.mark.parametrize("request_id", ["-1", "2147483648", "abc", ""])
def test_a_wrong_request_id_is_refused_and_echoed(xml, request_id):
    answer = xml.ask("TEST", request_id)
    assert answer.head() == [("REQUESTTYPE", "TEST"), ("REQUESTID", request_id), ("RESULTTYPE", "API_REQUESTID_INVALID"),
                             ("RESULTCODE", "14"), ("RESULTMSG", answer["RESULTMSG"])]


def test_a_missing_request_id_is_refused(xml):
    assert xml.ask_raw("<REQUEST><TYPE>TEST</TYPE></REQUEST>\r\n").code == 14


def test_the_largest_request_id_is_echoed(xml):
    assert xml.ask("TEST", 2147483647).head() == head("TEST", request_id=2147483647)


def test_an_unknown_type_is_named_so(xml):
    answer = xml.ask("MAKECOFFEE")
    assert (answer.code, answer["RESULTTYPE"]) == (10, "API_UNKNOWN_MESSAGE_TYPE")


def test_no_type_at_all(xml):
    answer = xml.ask_raw("<REQUEST><REQUESTID>5</REQUESTID></REQUEST>\r\n")
    assert (answer.code, answer["RESULTTYPE"], answer["REQUESTID"]) == (15, "API_INVALID_REQUEST_TYPE", "5")


@pytest.mark.parametrize("text", ["this is no XML\r\n", "<REQUEST><TYPE>TEST</REQUEST>\r\n", "<REQUEST <TYPE>\r\n"])
def test_broken_input_is_refused_and_the_connection_kept(xml, text):
    answer = xml.ask_raw(text)
    assert (answer.code, answer["RESULTTYPE"]) == (16, "API_INVALID_MESSAGE_FORMAT")
    assert xml.ask("TEST", 2).head() == head("TEST", request_id=2)


def test_a_message_over_64_kib_is_refused_and_closed(xml):
    xml.send("<REQUEST><TYPE>TEST</TYPE><USER1>" + "x" * 70000)
    assert xml.answer().code == 16
    assert xml.document() is None


@pytest.mark.parametrize("request_type", NOT_YET)
def test_functions_of_later_versions_say_so(xml, request_type):
    answer = xml.ask(request_type, DEVICEID="7001")
    assert (answer.code, answer["RESULTTYPE"]) == (49, "API_COMMAND_NOT_SUPPORTED")


@pytest.mark.parametrize("request_type", DEPRECATED)
def test_deprecated_functions_name_their_replacement(xml, request_type):
    answer = xml.ask(request_type)
    assert answer.code == 49
    assert DEPRECATED[request_type] in answer["RESULTMSG"]


def test_one_client_too_many_is_told_and_closed(start_daemon, port, tmp_path):
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"],
                          api={"xml": "127.0.0.1:0", "events": "127.0.0.1:0", "max_clients": 3})
    clients = [XmlClient(daemon.ports["xml"]) for _ in range(3)]
    assert all(client.ask("TEST").code == 20 for client in clients)
    with XmlClient(daemon.ports["xml"]) as fourth:
        assert fourth.answer().code == 48
        assert fourth.document() is None
    clients.pop().close()
    time.sleep(0.3)
    with XmlClient(daemon.ports["xml"]) as again:
        assert again.ask("TEST").code == 20
    for client in clients:
        client.close()


# --- calls

def test_a_call_from_a_cti_link(xml, events):
    answer = xml.ask("CALLSTART", 1, DEVICEID="7555", DEVICEALIAS="3545", GROUP="12", GATE="80", ANI="6145551212",
                     DNIS="8889225526", USER1="Gold Level", USER2="Customer 564582", CALLDIRECTION="I")
    assert answer.head() == head("CALLSTART", message=SENT.format("CALLSTART"))
    event = events.wait_type("CALLSTART", "7555")
    assert (event.event_class, event.module, event.xref) == ("CALL", "Api", "77")
    wanted = {"DEVICEALIAS": "3545", "GROUP": "12", "GATE": "80", "ANI": "6145551212", "DNIS": "8889225526",
              "USER1": "Gold Level", "USER2": "Customer 564582", "CALLDIRECTION": "I", "COREIDENT": "1"}
    assert {key: event.data[key] for key in wanted} == wanted
    assert re.fullmatch(r"0001\d{10}", event.data["GLOBALCALLID"])
    answer = xml.ask("CALLUPDATE", 2, DEVICEID="7555", USER3="Follow up")
    assert answer.head() == head("CALLUPDATE", message=SENT.format("CALLUPDATE"), request_id=2)
    device = xml.ask("DEVICESTATUS", 3, DEVICEID="7555")
    assert device.head() == head("DEVICESTATUS", message="Found the following matching devices", request_id=3)
    assert device["DEVICES/COUNT"] == "1"
    assert (device["DEVICES/DEVICE/USER1"], device["DEVICES/DEVICE/USER3"]) == ("Gold Level", "Follow up")
    assert re.fullmatch(r"\d+/\d+/\d{4} \d+:\d\d:\d\d [AP]M", device["DEVICES/DEVICE/STARTTIME"])
    assert not device["DEVICES/DEVICE/STOPTIME"]
    answer = xml.ask("CALLSTOP", 4, DEVICEID="7555")
    assert answer.head() == head("CALLSTOP", message=SENT.format("CALLSTOP"), request_id=4)
    stop = events.wait_type("CALLSTOP", "7555")
    assert stop.data["USER3"] == "Follow up" and stop.data["GLOBALCALLID"] == event.data["GLOBALCALLID"]
    assert xml.ask("DEVICESTATUS", DEVICEID="7555")["DEVICES/DEVICE/STOPTIME"]


def test_a_cti_call_and_a_sip_call_on_a_device_are_one(xml, events, exchange):
    call = exchange.call("7101", caller="5550101")
    events.wait_type("RECORDINGSTARTED", "7101")
    assert xml.ask("CALLSTART", DEVICEID="7101", USER1="from CTI", GATE="sales").code == 20
    time.sleep(0.5)
    call.end()
    update = events.wait_type("RECORDINGUPDATE", "7101")
    assert sum(e.type == "RECORDINGSTARTED" for e in events.of("7101")) == 1
    result = xml.ask("CALLLIST", DEVICEID="7101").root.findall("SEARCHRESULT")
    assert len(result) == 1
    fields = ("RECORDID", "USER1", "GATE", "ANI")
    assert [result[0].findtext(f) for f in fields] == [update.data["RECORDID"], "from CTI", "sales", "5550101"]


def test_calls_on_two_instances_are_kept_apart(xml, events):
    for instance in ("1", "2"):
        xml.ask("CALLSTART", DEVICEID="7102", CALLINSTANCE=instance, USER1=f"instance {instance}")
    xml.ask("CALLUPDATE", DEVICEID="7102", CALLINSTANCE="1", USER2="first")
    xml.ask("CALLUPDATE", DEVICEID="7102", USER2="last")  # without instance: the last call on the device
    answer = xml.ask("DEVICERECORDINGSTATUS", 9, DEVICEID="7102")
    assert answer.head() == head("DEVICERECORDINGSTATUS", request_id=9, message="Following active call instances found "
                                 "for specified deviceID, devicealias, crm_user or sys_user")
    found = {r.findtext("CALLINSTANCE"): (r.findtext("USER1"), r.findtext("USER2"))
             for r in answer.root.iter("RECORDING")}
    assert found == {"1": ("instance 1", "first"), "2": ("instance 2", "last")}
    xml.ask("CALLSTOP", DEVICEID="7102", CALLINSTANCE="1")
    stopped = events.wait_type("CALLSTOP", "7102")
    assert stopped.data["CALLINSTANCE"] == "1"
    xml.ask("CALLSTOP", DEVICEID="7102", CALLINSTANCE="2")
    events.wait_type("CALLSTOP", "7102", count=2)


def test_starting_an_active_instance_again_is_an_update(xml, events):
    xml.ask("CALLSTART", DEVICEID="7103", USER1="one")
    xml.ask("CALLSTART", DEVICEID="7103", USER2="two")
    status = xml.ask("DEVICESTATUS", DEVICEID="7103")
    assert (status["DEVICES/DEVICE/USER1"], status["DEVICES/DEVICE/USER2"]) == ("one", "two")
    xml.ask("CALLSTOP", DEVICEID="7103")
    events.wait_type("CALLSTOP", "7103")
    assert sum(e.type == "CALLSTART" for e in events.of("7103")) == 1


def test_stopping_what_does_not_run_is_no_problem(xml):
    assert xml.ask("CALLSTOP", DEVICEID="7104").head() == head("CALLSTOP", message=SENT.format("CALLSTOP"))
    assert xml.ask("RECORDSTOP", DEVICEID="7104").head() == head("RECORDSTOP", message=SENT.format("RECORDSTOP"))


@pytest.mark.parametrize("request_type", ["CALLSTART", "RECORDSTART"])
@pytest.mark.parametrize("field", ["DEVICEALIAS", "SYS_USER", "CRM_USER"])
def test_no_device_for_a_name_is_told_as_in_the_manual(xml, request_type, field):
    answer = xml.ask(request_type, **{field: "nobody"})
    assert answer.head() == head(request_type, 8, "API_DEVICE_INVALID",
                                 "Could not find a device matching given parameters")


def test_an_update_of_no_device_at_all_is_refused(xml):
    assert xml.ask("CALLUPDATE", USER1="x").code == 8


def test_a_device_is_found_by_its_alias(xml, events):
    xml.ask("CALLSTART", DEVICEID="7105", DEVICEALIAS="DESK5")
    assert xml.ask("CALLUPDATE", DEVICEALIAS="DESK5", USER1="by alias").code == 20
    status = xml.ask("DEVICESTATUS", DEVICEALIAS="DESK5")
    assert (status["DEVICES/DEVICE/DEVICEID"], status["DEVICES/DEVICE/USER1"]) == ("7105", "by alias")
    assert xml.ask("CALLSTOP", DEVICEALIAS="DESK5").code == 20
    events.wait_type("CALLSTOP", "7105")


def test_a_value_too_long_is_cut_and_told(xml):
    answer = xml.ask("CALLSTART", DEVICEID="7106", USER1="123456789012345678901234")
    assert answer.code == 20 and answer["RESULTMSG"].endswith("; USER1 cut to 20 characters")
    assert xml.ask("DEVICESTATUS", DEVICEID="7106")["DEVICES/DEVICE/USER1"] == "12345678901234567890"
    xml.ask("CALLSTOP", DEVICEID="7106")


def test_any_character_can_be_a_tag(xml):
    text = "a<b>&c \"d\" 'ü€"
    xml.ask("CALLSTART", DEVICEID="7107", USER4=text)
    assert xml.ask("DEVICESTATUS", DEVICEID="7107")["DEVICES/DEVICE/USER4"] == text
    xml.send("<REQUEST><TYPE>CALLUPDATE</TYPE><REQUESTID>1</REQUESTID><DEVICEID>7107</DEVICEID>"
             "<USER4>Sales & Marketing</USER4></REQUEST>\r\n")
    assert xml.answer().code == 20
    assert xml.ask("DEVICESTATUS", DEVICEID="7107")["DEVICES/DEVICE/USER4"] == "Sales & Marketing"
    xml.ask("CALLSTOP", DEVICEID="7107")


@pytest.mark.parametrize("field, value", [("CALLDIRECTION", "X"), ("PRIORITY", "high"), ("AGENTINITIATED", "maybe")])
def test_a_value_of_the_wrong_kind_changes_nothing(xml, field, value):
    answer = xml.ask("CALLSTART", DEVICEID="7108", **{field: value})
    assert answer.code == 16 and field in answer["RESULTMSG"]
    assert xml.ask("DEVICERECORDINGSTATUS", DEVICEID="7108").root.find(".//RECORDING") is None


# --- recordings

def test_status_functions_show_a_call_that_is_recorded(xml, events, exchange):
    call = exchange.call("7201", caller="5550201")
    started = events.wait_type("RECORDINGSTARTED", "7201")
    try:
        listed = xml.ask("DEVICELIST", 5)
        assert listed.head() == head("DEVICELIST", request_id=5)
        assert int(listed["DEVICES/COUNT"]) == len(listed.root.findall("DEVICES/DEVICE"))
        device = next(d for d in listed.root.iter("DEVICE") if d.findtext("DEVICEID") == "7201")
        assert device.findtext("RECORDING/ISRECORDING") == "Y"
        assert device.findtext("RECORDING/FILENAME") == started.data["FILENAME"]
        assert re.search(r"/\d{8}/7201/7201-\d\d-\d\d-\d\d(-\d+)?\.wav$", started.data["FILENAME"])
        assert (device.findtext("ANI"), device.findtext("DNIS")) == ("5550201", "7201")
        assert device.findtext("COREIDENT") == "1"
        tags = [child.tag for child in device]
        manual = ["DEVICEID", "DEVICEALIAS", "SYS_USER", "CRM_USER", "GROUP", "GATE", "ANI", "DNIS",
                  *(f"USER{n}" for n in range(1, 16))]
        assert tags[:len(manual)] == manual and tags[-1] == "RECORDING"
        status = xml.ask("DEVICERECORDINGSTATUS", DEVICEID="7201")
        assert status["DEVICE/RECORDING/STATUS"] == "recording"
        programs.wait_until(lambda: "<STATE>Recording</STATE>" in repr(xml.ask("CHANNELS")), 5, "its first frame")
        channels = xml.ask("CHANNELS", 26)
        assert channels.head() == head("CHANNELS", request_id=26)
        assert channels["COUNT"] == "8" and len(channels.root.findall("CHANNELS/CHANNEL")) == 8
        busy = [c for c in channels.root.iter("CHANNEL") if c.findtext("STATE") == "Recording"]
        assert len(busy) == 1 and busy[0].findtext("ID") == started.data["CHANNEL"]
        assert abs(int(busy[0].findtext("LASTSTATECHANGEUNIXTIME")) - time.time()) < 30
        assert {c.findtext("STATE") for c in channels.root.iter("CHANNEL")} <= {"Recording", "Idle"}
    finally:
        call.end()
    events.wait_type("RECORDINGUPDATE", "7201")


def test_a_recording_is_updated_after_its_end(xml, events, exchange):
    _, update = recorded_call(exchange, events, "7202")
    answer = xml.ask("CALLUPDATE", 3, DEVICEID="7202", USER3="late", UPDATE_IF_NOT_RECORDING="Y")
    assert answer.head() == head("CALLUPDATE", message="Updated recording in database", request_id=3)
    assert xml.ask("CALLUPDATE", RECORDID=update.data["RECORDID"], USER4="Sales Call").code == 20
    found = xml.ask("CALLLIST", USER3="late", USER4="Sales Call").root.findall("SEARCHRESULT")
    assert [r.findtext("RECORDID") for r in found] == [update.data["RECORDID"]]
    assert xml.ask("CALLUPDATE", RECORDID=update.data["RECORDID"], USER4="").code == 20  # an empty tag clears
    assert not xml.ask("CALLLIST", USER4="Sales Call").root.findall("SEARCHRESULT")


def test_a_recording_that_was_stopped_is_updated_while_its_call_goes_on(xml, events, exchange):
    call = exchange.call("7205")
    events.wait_type("RECORDINGSTARTED", "7205")
    assert xml.ask("RECORDSTOP", DEVICEID="7205").code == 20
    ident = events.wait_type("RECORDINGUPDATE", "7205").data["RECORDID"]
    answer = xml.ask("CALLUPDATE", 4, DEVICEID="7205", USER8="wrap-up", UPDATE_IF_NOT_RECORDING="Y")
    assert answer.head() == head("CALLUPDATE", message="Updated recording in database", request_id=4)
    found = xml.ask("CALLLIST", USER8="wrap-up").root.findall("SEARCHRESULT")
    assert [r.findtext("RECORDID") for r in found] == [ident]
    # A call is there, though not of this instance: what was recorded before is not meant.
    answer = xml.ask("CALLUPDATE", DEVICEID="7205", CALLINSTANCE="nope", USER8="wrong", UPDATE_IF_NOT_RECORDING="Y")
    assert answer.code == 7
    assert not xml.ask("CALLLIST", USER8="wrong").root.findall("SEARCHRESULT")
    call.end()


def test_a_call_that_the_api_announces_is_described_by_sip(xml, events, exchange):
    recorded_call(exchange, events, "7206", 0.3)  # its address is known since
    assert xml.ask("CALLSTART", DEVICEID="7206", USER1="early7206").code == 20
    call = exchange.call("7206")
    time.sleep(0.5)
    shown = xml.ask("DEVICESTATUS", DEVICEID="7206")
    call.end()
    ident = events.wait_type("RECORDINGUPDATE", "7206", count=2).data["RECORDID"]
    caller = shown["DEVICES/DEVICE/ANI"]
    stored = xml.ask("CALLLIST", DEVICEID="7206", ANI=caller, CALLDIRECTION="I", USER1="early7206")
    assert caller and stored["SEARCHRESULT/RECORDID"] == ident and stored["SEARCHRESULT/DNIS"] == "7206"


def test_updating_where_nothing_was_recorded(xml):
    answer = xml.ask("CALLUPDATE", DEVICEID="7999", USER1="x", UPDATE_IF_NOT_RECORDING="Y")
    assert (answer.code, answer["RESULTTYPE"]) == (40, "API_RECORDID_INVALID")
    assert xml.ask("CALLUPDATE", RECORDID="999999999", USER1="x").code in (23, 40)


def test_recording_is_started_and_stopped_by_the_api(xml, events, exchange):
    call = exchange.call("7203")
    events.wait_type("RECORDINGSTARTED", "7203")
    time.sleep(0.7)
    answer = xml.ask("RECORDSTOP", 5, DEVICEID="7203", USER1="first part")
    assert answer.head() == head("RECORDSTOP", message=SENT.format("RECORDSTOP"), request_id=5)
    first = events.wait_type("RECORDINGUPDATE", "7203")
    time.sleep(0.7)
    answer = xml.ask("RECORDSTART", 6, DEVICEID="7203", USER2="second part")
    assert answer.head() == head("RECORDSTART", message=SENT.format("RECORDSTART"), request_id=6)
    events.wait_type("RECORDINGSTARTED", "7203", count=2)
    time.sleep(0.7)
    call.end()
    second = events.wait_type("RECORDINGUPDATE", "7203", count=2)
    results = {r.findtext("RECORDID"): r for r in xml.ask("CALLLIST", DEVICEID="7203").root.iter("SEARCHRESULT")}
    assert set(results) == {first.data["RECORDID"], second.data["RECORDID"]}
    assert results[first.data["RECORDID"]].findtext("USER1") == "first part"
    assert results[second.data["RECORDID"]].findtext("USER2") == "second part"


def test_call_list_filters_orders_and_caps(xml, events, exchange):
    before = int(time.time())
    idents = [recorded_call(exchange, events, "7204", 0.3)[1].data["RECORDID"] for _ in range(1)]
    for count in (2, 3):
        call = exchange.call("7204")
        events.wait_type("RECORDINGSTARTED", "7204", count=count)
        call.end()
        idents.append(events.wait_type("RECORDINGUPDATE", "7204", count=count).data["RECORDID"])
    answer = xml.ask("CALLLIST", 8, DEVICEID="7204")
    assert answer["TYPE"] == answer["REQUESTTYPE"] == "CALLLIST" and answer["REQUESTID"] == "8"
    results = answer.root.findall("SEARCHRESULT")
    assert [r.findtext("RECORDID") for r in results] == idents[::-1]
    assert [r.findtext("CALLNUMBER") for r in results] == ["1", "2", "3"]
    assert all(before - 1 <= int(r.findtext("RECORDINGTIME")) <= time.time() for r in results)
    assert len(xml.ask("CALLLIST", DEVICEID="7204", CALLCOUNT=2).root.findall("SEARCHRESULT")) == 2
    assert not xml.ask("CALLLIST", DEVICEID="7204", CALLDATATEEND=before - 5).root.findall("SEARCHRESULT")
    assert len(xml.ask("CALLLIST", DEVICEID="7204", CALLDATESTART=before - 5).root.findall("SEARCHRESULT")) == 3
    assert len(xml.ask("CALLLIST", DEVICEID="7204", CALLTYPE="I").root.findall("SEARCHRESULT")) == 3
    assert len(xml.ask("CALLLIST", DEVICEID="7204", CALLTYPE="5").root.findall("SEARCHRESULT")) == 3
    assert not xml.ask("CALLLIST", DEVICEID="7204", CALLDIRECTION="O").root.findall("SEARCHRESULT")


# --- events

def test_a_subscription_is_answered_as_in_the_manual(daemon, xml):
    for port in ("xml", "events"):
        with XmlClient(daemon.ports[port]) as client:
            answer = client.ask_raw("<REQUEST><REQUESTID>0</REQUESTID><TYPE>EVENTS</TYPE><EVENTCLASS>ALL</EVENTCLASS>"
                                    "<EVENTVALUE></EVENTVALUE></REQUEST>\r\n")
            assert answer.head() == head("EVENTS", request_id=0)
            assert [(c.tag, c.text or "") for c in answer.root[5:]] == [("EVENTXREF", "0"), ("EVENTCLASS", "ALL"),
                                                                       ("EVENTTYPE", "")]
    assert xml.ask("EVENTS", EVENTCLASS="WEATHER").code == 30


def test_subscribers_get_what_they_asked_for(daemon, xml, exchange):
    subscribers = {name: Subscriber(daemon.ports["xml"], *what, request_id=number)
                   for number, (name, what) in enumerate({"all": ("ALL",), "call": ("CALL",), "record": ("RECORD",),
                                                          "one": ("ALL", "7301")}.items())}
    try:
        for device in ("7301", "7302"):
            call = exchange.call(device)
            subscribers["all"].wait_type("RECORDINGSTARTED", device)
            call.end()
            subscribers["all"].wait_type("RECORDINGUPDATE", device)
        subscribers["record"].wait_type("RECORDINGUPDATE", "7302")
        subscribers["call"].wait_type("CALLSTOP", "7302")
        subscribers["one"].wait_type("RECORDINGUPDATE", "7301")
        time.sleep(0.2)
        seen = {name: s.of("7301") + s.of("7302") for name, s in subscribers.items()}
        assert {e.event_class for e in seen["call"]} == {"CALL"} and {e.event_class for e in seen["record"]} == {"RECORD"}
        assert {e.data["DEVICEID"] for e in seen["one"]} == {"7301"}
        assert len(seen["all"]) == len(seen["call"]) + len(seen["record"]) == 10
        assert {e.xref for e in seen["record"]} == {"2"}
    finally:
        for subscriber in subscribers.values():
            subscriber.close()


# --- WebAPI

def test_the_web_api_answers_the_same_functions(web):
    assert web.ask("TEST", 7).head() == head("TEST", request_id=7)
    status, _, body = WebClient(web.port, "/WEBAPI.PHP").get(TYPE="test", RequestId="8")
    assert status == 200 and b"<REQUESTID>8</REQUESTID>" in body
    status, _, body = web.http("POST", "/webAPI.aspx?type=callstart", "requestid=9&deviceid=7401&user1=a+b%26c",
                               {"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 200 and b"CALLSTART sent to all" in body
    found = web.ask("DEVICESTATUS", deviceid="7401")
    assert found["DEVICES/DEVICE/USER1"] == "a b&c"
    assert web.ask("CALLSTOP", deviceid="7401").code == 20
    assert web.ask("NOSUCHTHING").code == 10


def test_http_faults_are_http_errors(web):
    assert web.http("GET", "/elsewhere")[0] == 404
    assert web.http("PUT", "/webAPI.aspx?type=test&requestid=1")[0] == 405


def test_an_export_is_the_audio_that_was_sent(web, events, exchange):
    call, update = recorded_call(exchange, events, "7402", 2.0)
    wav = audio.Wav(web.export("ident", update.data["RECORDID"]))
    assert (wav.rate, len(wav.channels)) == (8000, 2)
    assert wav.duration == pytest.approx(call.duration, abs=0.1)
    for side in ("far", "device"):
        matched, compared, missed = audio.match_packets(wav, side, call.sent[side], call.answered, jitter_s=0.1)
        assert compared >= len(call.sent[side]) - 8
        assert matched == compared, (side, [p.sequence for p in missed])
    # Each side is heard on its own channel only.
    other = audio.match_packets(wav, "device", call.sent["far"], call.answered, jitter_s=0.1)
    assert other[0] == 0


def test_an_export_by_a_field_gives_the_newest(web, xml, events, exchange):
    _, update = recorded_call(exchange, events, "7403", 0.5)
    xml.ask("CALLUPDATE", RECORDID=update.data["RECORDID"], USER2="10121968")
    by_ident = web.export("ident", update.data["RECORDID"])
    assert web.export("user2", "10121968") == by_ident
    assert web.export("DEVICE_ID", "7403") == by_ident
    assert web.export("SESSIONID", xml.ask("DEVICESTATUS", DEVICEID="7403")["DEVICES/DEVICE/RECORDING/SESSIONID"]) == by_ident
    for field, code in (("qa_score", 41), ("SESSIONID", 41), ("colour", 16)):
        assert web.ask("EXPORT", uniquefield=field, uniqueid="7403", media_format="wav").code == code


def test_an_export_of_nothing_is_no_file(web):
    answer = web.ask("EXPORT", uniquefield="ident", uniqueid="999999999", media_format="wav")
    assert (answer.code, answer["RESULTTYPE"]) == (41, "API_FILE_NOT_FOUND")
    assert web.ask("EXPORT", uniquefield="ident", media_format="wav").code in (16, 26)


# --- channels

def test_no_more_is_recorded_than_there_are_channels(xml, events, exchange):
    calls = [exchange.call(f"75{n:02}") for n in range(9)]
    try:
        events.wait_for(lambda seen: sum(e.type == "RECORDINGSTARTED" and e.data["DEVICEID"].startswith("75")
                                         for e in seen) >= 8, 10, "eight recordings")
        def states():
            return [c.findtext("STATE") for c in xml.ask("CHANNELS").root.iter("CHANNEL")]
        # PreparingToRecord until the first packet of each.
        programs.wait_until(lambda: states() == ["Recording"] * 8, 10, "eight channels that record")
        listed = xml.ask("DEVICELIST").root
        recording = {d.findtext("DEVICEID") for d in listed.iter("DEVICE") if d.findtext("RECORDING/ISRECORDING") == "Y"}
        left = next(iter({f"75{n:02}" for n in range(9)} - recording))
        assert xml.ask("RECORDSTART", DEVICEID=left).code == 3  # API_ERROR_NO_FREE_CHANNELS
    finally:
        for call in calls:
            call.end()
    events.wait_for(lambda seen: sum(e.type == "RECORDINGUPDATE" and e.data["DEVICEID"].startswith("75")
                                     for e in seen) >= 8, 10, "eight stored")


# --- the machine

def test_system_status_tells_disk_processors_and_memory_as_the_machine_does(daemon, xml):
    answer = xml.ask("SYSTEMSTATUS", 255)
    assert answer.head() == head("SYSTEMSTATUS", request_id=255)
    processors = [f"PROCESSOR{n}" for n in range(os.cpu_count())]
    assert [child.tag for child in answer.root[5:]] == [
        "RECORDINGPATH", "RECORDINGSPACEINFO", "RECORDINGTOTALDISKCAPACITY", "RECORDINGTOTALDISKFREE",
        "RECORDINGTOTALDISKFREEPCT", "SYSTEMUPTIME", *processors, "SYSTEMRAMTOTAL", "SYSTEMRAMFREE", "SYSTEMRAMUSED",
        "SYSTEMRAMUSEDPCT"]
    disk = os.statvfs(daemon.store)
    total, free = (blocks * disk.f_frsize / 2**20 for blocks in (disk.f_blocks, disk.f_bavail))
    assert answer["RECORDINGPATH"] == daemon.store + "/"
    assert float(answer["RECORDINGTOTALDISKCAPACITY"]) == pytest.approx(total, abs=1)
    assert float(answer["RECORDINGTOTALDISKFREE"]) == pytest.approx(free, rel=0.05)
    assert float(answer["RECORDINGTOTALDISKFREEPCT"]) == pytest.approx(100 * free / total, abs=5)
    space = re.fullmatch(r"([0-9.]+)GB of ([0-9.]+)GB", answer["RECORDINGSPACEINFO"])
    assert float(space[2]) == pytest.approx(total / 1024, abs=0.01)
    assert re.fullmatch(r"[0-9]+ days, [0-9]+ hours, [0-9]+ minutes, [0-9]+ seconds\.", answer["SYSTEMUPTIME"])
    for processor in processors:
        assert re.fullmatch(r"[0-9]+MHz", answer[f"{processor}/SYSTEMPROCESSORSPEED"])
        assert answer[f"{processor}/SYSTEMPROCESSORTYPE"]
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in file}
    assert int(answer["SYSTEMRAMTOTAL"]) == pytest.approx(memory["MemTotal"], abs=1)
    assert int(answer["SYSTEMRAMUSED"]) + int(answer["SYSTEMRAMFREE"]) == pytest.approx(memory["MemTotal"], abs=2)
    assert int(answer["SYSTEMRAMUSEDPCT"]) == pytest.approx(100 - 100 * memory["MemAvailable"] / memory["MemTotal"], abs=5)
