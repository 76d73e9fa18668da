# SPDX-License-Identifier: AGPL-3.0-or-later
"""The directory, by the manual: golden exchanges, every error of each page, sizes, odd names, restarts, agents of calls."""

import json
import os
from xml.etree import ElementTree

import pytest

from support import programs
from support.clients import Subscriber, WebClient, XmlClient, functions, request_text

ODD = "O'Neil & \"Söhne\" <x>"
SMILEY = "\U0001F4DE"  # four bytes of UTF-8
DIRECTORY = [name for name, function in sorted(functions().items()) if function["class"] == "directory"] \
    if os.access(programs.SPANTAPE, os.X_OK) else []


@pytest.fixture
def daemon(start_daemon, tmp_path):
    return start_daemon(tmp_path, ["pcap:lo"])


@pytest.fixture
def xml(daemon):
    with XmlClient(daemon.ports["xml"]) as client:
        yield client


def flat(element):
    """(tag, text) of leaves and (tag, [children]) of others, in order."""
    return (element.tag, [flat(child) for child in element] if len(element) else (element.text or "").strip())


def result(body, request_type, code=20, label="API_OK", message=None, request_id=1):
    """The RESULT that these make, `body` being the XML behind its head."""
    head = (f"<REQUESTTYPE>{request_type}</REQUESTTYPE><REQUESTID>{request_id}</REQUESTID>"
            f"<RESULTTYPE>{label}</RESULTTYPE><RESULTCODE>{code}</RESULTCODE><RESULTMSG>{message or label}</RESULTMSG>")
    return flat(ElementTree.fromstring(f"<RESULT>{head}{body}</RESULT>"))


def request_of(request_type, request_id, body, tag="TYPE"):
    """As the manual writes them: indented, over several lines."""
    return f"<REQUEST>\r\n  <{tag}>{request_type}</{tag}>\r\n  <REQUESTID>{request_id}</REQUESTID>\r\n  {body}\r\n</REQUEST>\r\n"


def ok(answer):
    assert answer.code == 20, answer
    return answer


def add_user(xml, first, last, **fields):
    return ok(xml.ask("IMPORTUSER", ACTION="ADD", FIRSTNAME=first, LASTNAME=last,
                      **{"PASSWORD": "Password", **fields}))["AGENTID"]


def listed(xml):
    return ok(xml.ask("IMPORTUSER", ACTION="LIST")).root.find("AGENTS")


def whole(xml):
    """All that can be listed."""
    return [flat(xml.ask(name, **parameters).root) for name, parameters in
            (("IMPORTUSER", {"ACTION": "LIST"}), ("STATIONS", {}), ("FETCHTERMINOLOGY", {}))]


# --- the manual's examples

def test_importuser_adds_and_lists_as_in_the_manual(xml):
    answer = xml.ask_raw(request_of("IMPORTUSER", 2, """<ACTION>ADD</ACTION>
  <AGENT_ID>2</AGENT_ID>
  <EMPLOYEEID>5</EMPLOYEEID>
  <FIRSTNAME>James</FIRSTNAME>
  <LASTNAME>Doe</LASTNAME>
  <STATUS>A</STATUS>
  <ADD_TIME></ADD_TIME>
  <MOD_TIME></MOD_TIME>
  <SYS_USER>doe.1</SYS_USER>
  <DOMAIN>somecompany</DOMAIN>
  <EMAIL>jdoe@somecompany.com</EMAIL>
  <CRM_USER>CRMUsername</CRM_USER>
  <PASSWORD>Password</PASSWORD>
  <SITEID>1</SITEID>
  <USERNAME>CallCopyUsername</USERNAME>"""))
    assert flat(answer.root) == result("<AGENTID>1</AGENTID>", "IMPORTUSER", request_id=2)
    ok(xml.ask("IMPORTUSER", ACTION="MODIFY", AGENT_ID=1, FIRSTNAME="John", SYS_USER="jdoe", DOMAIN="CallCopy",
               EMAIL="jdoe@callcopy.com", CRM_USER="john", ADD_TIME="10/30/2006 4:05:38 PM",
               MOD_TIME="3/27/2008 3:34:43 PM"))
    for phone in ("1123", "3343", "3234"):
        ok(xml.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=1, PHONEID=phone))
    answer = xml.ask_raw(request_of("IMPORTUSER", 5, "<ACTION>LIST</ACTION>"))
    assert flat(answer.root) == result("""<AGENTS>
    <COUNT>1</COUNT>
    <AGENT>
      <AGENT_ID>1</AGENT_ID>
      <EMPLOYEEID>5</EMPLOYEEID>
      <FIRSTNAME>John</FIRSTNAME>
      <LASTNAME>Doe</LASTNAME>
      <STATUS>A</STATUS>
      <ADD_TIME>10/30/2006 4:05:38 PM</ADD_TIME>
      <MOD_TIME>3/27/2008 3:34:43 PM</MOD_TIME>
      <SYS_USER>jdoe</SYS_USER>
      <DOMAIN>CallCopy</DOMAIN>
      <EMAIL>jdoe@callcopy.com</EMAIL>
      <CRM_USER>john</CRM_USER>
      <PHONES>1123,3343,3234</PHONES>
    </AGENT>
  </AGENTS>""", "IMPORTUSER", request_id=5)


def test_importagentphone_is_answered_as_in_the_manual(xml):
    add_user(xml, "John", "Doe")
    answer = xml.ask_raw(request_of("IMPORTAGENTPHONE", 2, """<ACTION>ADD</ACTION>
  <PHONEID>1234</PHONEID>
  <AGENTID>0</AGENTID>
  <FIRSTNAME>John</FIRSTNAME>
  <LASTNAME>Doe</LASTNAME>"""))
    assert flat(answer.root) == result("<AGENTID>1</AGENTID>", "IMPORTAGENTPHONE", request_id=2)
    answer = xml.ask("IMPORTAGENTPHONE", ACTION="delete", PHONEID="1234")
    assert flat(answer.root) == result("<AGENTID>1</AGENTID>", "IMPORTAGENTPHONE")
    assert listed(xml).findtext("AGENT/PHONES") == ""


def test_importworkstation_and_stations_are_answered_as_in_the_manual(xml):
    answer = xml.ask_raw(request_of("IMPORTWORKSTATION", 2, """<DEVICEID>1234</DEVICEID>
  <STATIONNAME>COMPUTER1</STATIONNAME>
  <LOCATIONID>1</LOCATIONID>"""))
    assert flat(answer.root) == result("<DEVICEID>1234</DEVICEID><STATIONNAME>COMPUTER1</STATIONNAME>",
                                       "IMPORTWORKSTATION", request_id=2)
    # Entries of either name go.
    ok(xml.ask("IMPORTWORKSTATION", DEVICEID="7007", STATIONNAME="JamesBond", LOCATIONID=1))
    ok(xml.ask("IMPORTWORKSTATION", DEVICEID="1234", STATIONNAME="BOBDABUILDER", LOCATIONID=1))
    ok(xml.ask("IMPORTWORKSTATION", DEVICEID="2222", STATIONNAME="BOBDABUILDER", LOCATIONID=1))
    assert flat(xml.ask("STATIONS", 29).root) == result("""<COUNT>2</COUNT>
<STATIONS>
  <STATION>
    <STATIONNAME>BOBDABUILDER</STATIONNAME>
    <DEVICEID>2222</DEVICEID>
  </STATION>
  <STATION>
    <STATIONNAME>JamesBond</STATIONNAME>
    <DEVICEID>7007</DEVICEID>
  </STATION>
</STATIONS>""", "STATIONS", request_id=29)
    # An error leaves the old device, and says so.
    answer = xml.ask("IMPORTWORKSTATION", DEVICEID="3333", STATIONNAME="JamesBond", LOCATIONID=9)
    assert flat(answer.root) == result("<DEVICEID>7007</DEVICEID><STATIONNAME>JamesBond</STATIONNAME>",
                                       "IMPORTWORKSTATION", 23, "API_DATABASE_QUERY_ERROR", "there is no location 9")


TERMS = {"agent": "Agent", "ani": "CallerID ANI", "callcopygroup": "CallCopy group", "devicealias": "Agent Number",
         "deviceid": "Voice Port", "dnis": "Number Called DNIS", "gate": "ACD Gate", "group": "Group",
         "user1": "Account Number", "user2": "CSN"}


def terms(answer):
    assert [child.tag for child in answer.root[5:]] == ["COUNT", "SETTINGS"]
    pairs = [(term.findtext("NAME"), term.findtext("VALUE")) for term in answer.root.find("SETTINGS")]
    assert int(answer["COUNT"]) == len(pairs)
    return pairs


def test_fetchterminology_is_answered_as_in_the_manual(xml):
    answer = xml.ask("FETCHTERMINOLOGY", 34)
    assert terms(answer) == list(TERMS.items())
    assert [child.tag for child in answer.root.find("SETTINGS")] == ["TERMINOLOGY"] * 10


def test_the_command_line_changes_terminology(daemon, xml):
    server = ["--server", f"127.0.0.1:{daemon.ports['xml']}"]
    assert programs.spantape_json("terminology", *server) == TERMS
    changed = programs.spantape_json("terminology", "agent=Cl & rk=1", "user9=Söhne", *server)
    assert changed == TERMS | {"agent": "Cl & rk=1", "user9": "Söhne"}
    assert dict(terms(xml.ask("FETCHTERMINOLOGY"))) == changed
    assert programs.spantape_json("terminology", "agent=", "user9=", *server) == TERMS
    failed = programs.run(programs.SPANTAPE, "terminology", "none=", *server)
    assert failed.returncode == 1 and "there is no term 'none'" in failed.stderr


def test_groups_are_managed_as_in_the_manual(xml):
    add_user(xml, "John", "Doe", USERNAME="qasupervisor")
    answer = xml.ask_raw(request_of("ADDDGROUP", 2, "<GROUPNAME>Sales & Marketing</GROUPNAME>"))
    added = "<GROUPID>1</GROUPID><GROUPNAME>Sales &amp; Marketing</GROUPNAME>"
    message = "group: Sales &amp; Marketing has been added"
    assert flat(answer.root) == result(added, "ADDDGROUP", message=message, request_id=2)
    # Once more: as normal.
    answer = xml.ask("ADDGROUP", GROUPNAME="Sales & Marketing")
    assert flat(answer.root) == result(added, "ADDGROUP", message=message)

    answer = xml.ask_raw(request_of("MODIFYGROUPPERMISSION", 2, """<ACTION>ADD</ACTION>
  <GROUPNAME>Sales & Marketing</GROUPNAME>
  <FIRSTNAME>John</FIRSTNAME>
  <LASTNAME>Doe</LASTNAME>
  <DEVICEID>1234</DEVICEID>"""))
    sent = ("<ACTION>ADD</ACTION><GROUPNAME>Sales &amp; Marketing</GROUPNAME><GROUPID>1</GROUPID>"
            "<DEVICEID>1234</DEVICEID><FIRSTNAME>John</FIRSTNAME><LASTNAME>Doe</LASTNAME><AGENTID>1</AGENTID>")
    assert flat(answer.root) == result(sent, "MODIFYGROUPPERMISSION", request_id=2)
    # The same by ids, and by the device's other name.
    answer = xml.ask("MODIFYGROUPPERMISSION", ACTION="ADD", GROUPID=1, AGENT_ID=1, PHONEID="1234")
    assert flat(answer.root) == result(sent, "MODIFYGROUPPERMISSION")

    answer = xml.ask_raw(request_of("MODIFYUSERGROUPPERMISSION", 2, """<ACTION>ADD</ACTION>
  <GROUPNAME>Sales & Marketing</GROUPNAME>
  <USERNAME>qasupervisor</USERNAME>"""))
    assert flat(answer.root) == result(
        "<ACTION>ADD</ACTION><GROUPNAME>Sales &amp; Marketing</GROUPNAME><GROUPID>1</GROUPID>"
        "<USERNAME>qasupervisor</USERNAME>", "MODIFYUSERGROUPPERMISSION", request_id=2)


def test_roles_are_managed_as_in_the_manual(xml):
    add_user(xml, "Test", "User", USERNAME="TestUser")
    answer = xml.ask_raw(request_of("MODIFYROLE", 1, """<ACTION>ADD</ACTION>
<ROLENAMES>DefaultRole</ROLENAMES>
<DESCRIPTION>Adding Default Role</DESCRIPTION>""", tag="REQUESTTYPE"))
    assert flat(answer.root) == result(
        "<ACTION>ADD</ACTION><ROLENAMES>DefaultRole</ROLENAMES><DESCRIPTION>Adding Default Role</DESCRIPTION>"
        "<ROLEID>1</ROLEID>", "MODIFYROLE", message="Role Added")

    role_group = request_of(" MODIFYROLEGROUPPERMISSION ", 1, """<ACTION>ADD</ACTION>
  <ROLENAMESPACE>DefaultRole</ROLENAMESPACE>
  <GROUPNAME>CALLCOPYTESTGROUP</GROUPNAME>""", tag="REQUESTTYPE")
    sent = ("<ROLEID>1</ROLEID><ROLENAMESPACE>DefaultRole</ROLENAMESPACE><GROUPNAME>CALLCOPYTESTGROUP</GROUPNAME>"
            "<ACTION>ADD</ACTION>")
    assert flat(xml.ask_raw(role_group).root) == result(
        sent, "MODIFYROLEGROUPPERMISSION", message="Group CALLCOPYTESTGROUP does not exist or it is not active")
    ok(xml.ask("ADDGROUP", GROUPNAME="CALLCOPYTESTGROUP"))
    assert flat(xml.ask_raw(role_group).root) == result(
        sent, "MODIFYROLEGROUPPERMISSION", message="Group CALLCOPYTESTGROUP is assigned to role DefaultRole")

    answer = xml.ask_raw(request_of(" MODIFYUSERROLE ", 1, """<ACTION>ADD</ACTION>
  <ROLENAMES>DefaultRole</ROLENAMES>
  <USERNAME>TestUser</USERNAME>""", tag="REQUESTTYPE"))
    assert flat(answer.root) == result(
        "<ROLEID>1</ROLEID><ROLENAMES>DefaultRole</ROLENAMES><USERID>1</USERID><USERNAME>TestUser</USERNAME>"
        "<ACTION>ADD</ACTION>", "MODIFYUSERROLE", message="User 1 is assigned role DefaultRole")
    for whom in ({"USERID": 1}, {"FIRSTNAME": "Test"}, {"LASTNAME": "User"}, {"FIRSTNAME": "Test", "LASTNAME": "User"}):
        assert ok(xml.ask("MODIFYUSERROLE", ACTION="ADD", ROLEID=1, **whom))["USERID"] == "1"
    answer = ok(xml.ask("MODIFYUSERROLE", ACTION="DELETE", ROLEID=1, USERID=1))
    assert answer["RESULTMSG"] == "User 1 is no longer assigned role DefaultRole"
    assert ok(xml.ask("MODIFYROLE", ACTION="MODIFY", ROLENAME="DefaultRole", DESCRIPTION="x"))["RESULTMSG"] == \
        "Role Modified"
    assert ok(xml.ask("MODIFYROLE", ACTION="DELETE", ROLENAME="DefaultRole"))["RESULTMSG"] == "Role Deleted"
    assert xml.ask("MODIFYROLE", ACTION="DELETE", ROLENAME="DefaultRole").code == 52


def test_the_webapi_does_the_same(daemon, xml):
    web = WebClient(daemon.ports["webapi"])
    answer = web.ask("importuser", 2, action="add", firstname="Jörg", lastname=ODD, password="p&p", username="doe")
    assert flat(answer.root) == result("<AGENTID>1</AGENTID>", "IMPORTUSER", request_id=2)
    assert listed(xml).findtext("AGENT/LASTNAME") == ODD
    answer = web.ask("adddgroup", 2, groupname="Sales & Marketing")
    assert answer["RESULTMSG"] == "group: Sales & Marketing has been added"
    ok(web.ask("modifygrouppermission", action="ADD", groupid=1, agentid=1))
    ok(web.ask("modifyusergrouppermission", action="ADD", groupid=1, username="doe"))
    ok(web.ask("importagentphone", action="ADD", phoneid="1", firstname="Jörg", lastname=ODD))
    ok(web.ask("importworkstation", deviceid="1", stationname="PC", locationid=1))
    ok(web.ask("modifyrole", action="ADD", rolename="R"))
    ok(web.ask("modifyrolegrouppermission", action="ADD", roleid=1, groupname="Sales & Marketing"))
    ok(web.ask("modifyuserrole", action="ADD", roleid=1, username="doe"))
    assert web.ask("stations")["COUNT"] == "1"
    assert terms(web.ask("fetchterminology")) == list(TERMS.items())


# --- the rules

def test_a_user_is_added_once_and_nothing_changes(xml):
    add_user(xml, "John", "Doe", USERNAME="doe", EMAIL="a@b")
    before = whole(xml)
    for fields in ({}, {"EMAIL": "other"}, {"FIRSTNAME": "Jane", "USERNAME": "doe"},
                   {"FIRSTNAME": "Jane", "USERNAME": "doe", "ALLOWDUPLICATE": "Y"}):
        answer = xml.ask("IMPORTUSER", **{"ACTION": "ADD", "FIRSTNAME": "John", "LASTNAME": "Doe", "PASSWORD": "p",
                                          **fields})
        assert (answer.code, answer["RESULTTYPE"]) == (54, "API_USER_ALREADY_EXIST")
    assert whole(xml) == before
    assert add_user(xml, "John", "Doe", ALLOWDUPLICATE="Y") == "2"


def test_a_deleted_user_frees_his_phones_and_stays_listed(xml):
    add_user(xml, "John", "Doe")
    ok(xml.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=1, PHONEID="1234"))
    assert ok(xml.ask("IMPORTUSER", ACTION="DELETE", AGENTID=1))["AGENTID"] == "1"
    assert listed(xml).findtext("AGENT/STATUS") == "D"
    assert add_user(xml, "John", "Doe") == "2"
    ok(xml.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=2, PHONEID="1234"))
    for action in ("MODIFY", "DELETE"):
        assert xml.ask("IMPORTUSER", ACTION=action, AGENTID=1).code == 28


def test_an_empty_tag_clears_in_modify_and_an_absent_one_leaves(xml):
    add_user(xml, "John", "Doe", EMAIL="a@b", DOMAIN="d", STATUS="I")
    ok(xml.ask("IMPORTUSER", ACTION="MODIFY", AGENTID=1, EMAIL="", STATUS="", ADD_TIME="", PASSWORD=""))
    agent = listed(xml).find("AGENT")
    assert [agent.findtext(tag) for tag in ("EMAIL", "DOMAIN", "STATUS")] == ["", "d", "I"]
    answer = xml.ask("IMPORTUSER", ACTION="MODIFY", AGENTID=1, FIRSTNAME="")
    assert (answer.code, answer["RESULTMSG"]) == (16, "FIRSTNAME must not be blank")


def test_requests_that_wait_for_a_password_keep_their_order(xml):
    """Pipelined: each names what the one before made."""
    xml.send("".join(request_text("IMPORTUSER", n, ACTION="ADD", FIRSTNAME=f"F{n}", LASTNAME="L", PASSWORD="p")
                     + request_text("IMPORTAGENTPHONE", n, ACTION="ADD", FIRSTNAME=f"F{n}", LASTNAME="L", PHONEID=n)
                     for n in range(1, 9)))
    for n in range(1, 9):
        assert ok(xml.answer())["AGENTID"] == str(n)
        assert ok(xml.answer())["AGENTID"] == str(n)


ERRORS = [
    # IMPORTUSER
    ("IMPORTUSER", {"ACTION": "REMOVE"}, 21, "ACTION"),
    ("IMPORTUSER", {}, 16, "ACTION"),
    ("IMPORTUSER", {"ACTION": "ADD", "LASTNAME": "L", "PASSWORD": "p"}, 16, "FIRSTNAME"),
    ("IMPORTUSER", {"ACTION": "ADD", "FIRSTNAME": "F", "PASSWORD": "p"}, 16, "LASTNAME"),
    ("IMPORTUSER", {"ACTION": "ADD", "FIRSTNAME": "F", "LASTNAME": "L"}, 16, "PASSWORD"),
    ("IMPORTUSER", {"ACTION": "ADD", "FIRSTNAME": "F", "LASTNAME": "L", "PASSWORD": "p", "STATUS": "X"}, 16, "STATUS"),
    ("IMPORTUSER", {"ACTION": "ADD", "FIRSTNAME": "F", "LASTNAME": "L", "PASSWORD": "p", "SITEID": 9}, 53, "site 9"),
    ("IMPORTUSER", {"ACTION": "ADD", "FIRSTNAME": "F", "LASTNAME": "L", "PASSWORD": "p", "ADD_TIME": "4/31/2020 1:00:00 PM"},
     16, "ADD_TIME"),
    ("IMPORTUSER", {"ACTION": "MODIFY", "EMAIL": "x"}, 16, "AGENTID"),
    ("IMPORTUSER", {"ACTION": "MODIFY", "AGENTID": 99, "EMAIL": "x"}, 28, "99"),
    ("IMPORTUSER", {"ACTION": "DELETE", "AGENTID": 99}, 28, "99"),
    ("IMPORTUSER", {"ACTION": "DELETE", "AGENTID": "x"}, 16, "AGENTID"),
    ("IMPORTUSER", {"ACTION": "MODIFY", "AGENTID": 2, "FIRSTNAME": "John", "LASTNAME": "Doe"}, 54, "agent 1"),
    ("IMPORTUSER", {"ACTION": "MODIFY", "AGENTID": 2, "USERNAME": "doe"}, 54, "doe"),
    # IMPORTAGENTPHONE
    ("IMPORTAGENTPHONE", {"ACTION": "MODIFY", "PHONEID": 1}, 21, "ACTION"),
    ("IMPORTAGENTPHONE", {"ACTION": "ADD", "AGENTID": 1}, 16, "PHONEID"),
    ("IMPORTAGENTPHONE", {"ACTION": "ADD", "PHONEID": 1}, 24, "AGENTID"),
    ("IMPORTAGENTPHONE", {"ACTION": "ADD", "PHONEID": 1, "FIRSTNAME": "John"}, 24, "LASTNAME"),
    ("IMPORTAGENTPHONE", {"ACTION": "ADD", "PHONEID": 1, "AGENTID": 99}, 24, "99"),
    ("IMPORTAGENTPHONE", {"ACTION": "ADD", "PHONEID": 1, "FIRSTNAME": "No", "LASTNAME": "One"}, 24, "no such user"),
    ("IMPORTAGENTPHONE", {"ACTION": "ADD", "PHONEID": 100, "AGENTID": 2}, 22, "agent 1"),
    ("IMPORTAGENTPHONE", {"ACTION": "DELETE", "PHONEID": 100, "AGENTID": 2}, 24, "agent 1"),
    ("IMPORTAGENTPHONE", {"ACTION": "DELETE", "PHONEID": 99}, 24, "99"),
    # IMPORTWORKSTATION
    ("IMPORTWORKSTATION", {"STATIONNAME": "PC", "LOCATIONID": 1}, 16, "DEVICEID"),
    ("IMPORTWORKSTATION", {"DEVICEID": 1, "LOCATIONID": 1}, 16, "STATIONNAME"),
    ("IMPORTWORKSTATION", {"DEVICEID": 1, "STATIONNAME": "PC"}, 16, "LOCATIONID"),
    ("IMPORTWORKSTATION", {"DEVICEID": 1, "STATIONNAME": "PC", "LOCATIONID": 7}, 23, "location 7"),
    # groups
    ("ADDGROUP", {}, 16, "GROUPNAME"),
    ("MODIFYGROUPPERMISSION", {"ACTION": "MODIFY", "GROUPID": 1, "AGENTID": 1}, 21, "ACTION"),
    ("MODIFYGROUPPERMISSION", {"ACTION": "ADD", "AGENTID": 1}, 16, "GROUPNAME"),
    ("MODIFYGROUPPERMISSION", {"ACTION": "ADD", "GROUPNAME": "None", "AGENTID": 1}, 27, "None"),
    ("MODIFYGROUPPERMISSION", {"ACTION": "ADD", "GROUPID": 9, "AGENTID": 1}, 27, "9"),
    ("MODIFYGROUPPERMISSION", {"ACTION": "ADD", "GROUPID": 1}, 24, ""),
    ("MODIFYGROUPPERMISSION", {"ACTION": "ADD", "GROUPID": 1, "DEVICEID": "unknown"}, 24, ""),
    ("MODIFYGROUPPERMISSION", {"ACTION": "ADD", "GROUPID": 1, "FIRSTNAME": "No", "LASTNAME": "One"}, 24, ""),
    ("MODIFYUSERGROUPPERMISSION", {"ACTION": "x", "GROUPID": 1, "USERNAME": "doe"}, 21, "ACTION"),
    ("MODIFYUSERGROUPPERMISSION", {"ACTION": "ADD", "GROUPID": 1, "USERNAME": "none"}, 28, "none"),
    ("MODIFYUSERGROUPPERMISSION", {"ACTION": "ADD", "GROUPID": 9, "USERNAME": "doe"}, 27, "9"),
    # roles
    ("MODIFYROLE", {"ACTION": "x", "ROLENAMES": "R"}, 21, "ACTION"),
    ("MODIFYROLE", {"ACTION": "ADD"}, 16, "ROLENAMES"),
    ("MODIFYROLE", {"ACTION": "ADD", "ROLENAMES": "R"}, 50, "R"),
    ("MODIFYROLE", {"ACTION": "MODIFY", "ROLENAMES": "None"}, 52, "None"),
    ("MODIFYROLE", {"ACTION": "DELETE", "ROLENAMES": "None"}, 52, "None"),
    ("MODIFYROLEGROUPPERMISSION", {"ACTION": "MODIFY", "ROLEID": 1, "GROUPNAME": "G"}, 21, "ACTION"),
    ("MODIFYROLEGROUPPERMISSION", {"ACTION": "ADD", "GROUPNAME": "G"}, 16, "ROLE"),
    ("MODIFYROLEGROUPPERMISSION", {"ACTION": "ADD", "ROLEID": 1}, 16, "GROUPNAME"),
    ("MODIFYROLEGROUPPERMISSION", {"ACTION": "ADD", "ROLEID": 9, "GROUPNAME": "G"}, 52, "9"),
    ("MODIFYUSERROLE", {"ACTION": "MODIFY", "ROLEID": 1, "USERID": 1}, 21, "ACTION"),
    ("MODIFYUSERROLE", {"ACTION": "ADD", "USERID": 1}, 16, "ROLE"),
    ("MODIFYUSERROLE", {"ACTION": "ADD", "ROLENAMES": "None", "USERID": 1}, 52, "None"),
    ("MODIFYUSERROLE", {"ACTION": "ADD", "ROLEID": 1, "USERID": 9}, 28, "9"),
    ("MODIFYUSERROLE", {"ACTION": "ADD", "ROLEID": 1}, 28, ""),
    ("MODIFYUSERROLE", {"ACTION": "ADD", "ROLEID": 1, "USERNAME": "doe", "FIRSTNAME": "Jane"}, 28, ""),
    ("MODIFYUSERROLE", {"ACTION": "ADD", "ROLEID": 1, "FIRSTNAME": "Same"}, 22, "3"),
    # ours
    ("TERMINOLOGYSET", {"VALUE": "x"}, 16, "NAME"),
    ("TERMINOLOGYSET", {"NAME": "none"}, 16, "none"),
    ("SITESET", {"ID": 0, "NAME": "x"}, 16, "ID"),
    ("LOCATIONSET", {"ID": 5}, 16, "5"),
]


@pytest.fixture(scope="module")
def peopled(tmp_path_factory):
    """A directory that no request of the tests that use it changes."""
    appliance = programs.Daemon(tmp_path_factory.mktemp("peopled"), ["pcap:lo"]).start()
    with XmlClient(appliance.ports["xml"]) as client:
        add_user(client, "John", "Doe", USERNAME="doe")
        add_user(client, "Jane", "Roe")
        add_user(client, "Same", "One")
        add_user(client, "Same", "Other")
        ok(client.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=1, PHONEID=100))
        ok(client.ask("ADDGROUP", GROUPNAME="G"))
        ok(client.ask("MODIFYROLE", ACTION="ADD", ROLENAMES="R"))
        yield client
    appliance.kill()


@pytest.mark.parametrize("request_type, parameters, code, names", ERRORS)
def test_an_error_has_its_code_names_what_is_wrong_and_changes_nothing(peopled, request_type, parameters, code, names):
    before = whole(peopled)
    answer = peopled.ask(request_type, **parameters)
    assert answer.code == code, answer
    assert names in answer["RESULTMSG"], answer
    assert whole(peopled) == before


def example_of(parameter):
    if parameter["name"] == "ACTION":
        return "ADD"
    if parameter["type"].startswith("integer"):
        return 1
    if parameter["type"].startswith("text"):
        return {"ADD_TIME": "", "MOD_TIME": ""}.get(parameter["name"], "x")
    return ""


@pytest.mark.parametrize("request_type", DIRECTORY)
def test_a_value_one_character_too_long_is_refused_and_changes_nothing(peopled, request_type):
    parameters = functions()[request_type]["parameters"]
    before = whole(peopled)
    for parameter in parameters:
        if not parameter.get("size"):
            continue
        request = {each["name"]: example_of(each) for each in parameters} | {
            parameter["name"]: SMILEY * (parameter["size"] + 1)}
        answer = peopled.ask(request_type, **request)
        assert answer.code == 16, answer
        assert answer["RESULTMSG"] == f"{parameter['name']} is longer than {parameter['size']} characters"
    assert whole(peopled) == before


def test_values_as_long_as_may_be_and_of_any_character_come_back_and_survive_a_restart(daemon):
    def long(size):
        return (ODD + SMILEY * size)[:size]
    with XmlClient(daemon.ports["xml"]) as client:
        add_user(client, long(20), long(30), USERNAME=long(16), SYS_USER=long(255), DOMAIN=long(30), EMAIL=long(255),
                 CRM_USER=long(50), EMPLOYEEID=long(20), PASSWORD=long(255), ALLOWSELFRECORD="y", SITEID=1)
        ok(client.ask("IMPORTAGENTPHONE", ACTION="ADD", PHONEID=SMILEY * 10, FIRSTNAME=long(20), LASTNAME=long(30)))
        ok(client.ask("IMPORTWORKSTATION", DEVICEID=SMILEY * 15, STATIONNAME=long(50), LOCATIONID=1))
        group = ok(client.ask("ADDGROUP", GROUPNAME=long(255)))
        assert group["GROUPNAME"] == long(255)
        ok(client.ask("MODIFYGROUPPERMISSION", ACTION="ADD", GROUPNAME=long(255), AGENTID=1, DEVICEID=long(64)))
        ok(client.ask("MODIFYUSERGROUPPERMISSION", ACTION="ADD", GROUPNAME=long(255), USERNAME=long(16)))
        ok(client.ask("MODIFYROLE", ACTION="ADD", ROLENAMES=long(255), DESCRIPTION=long(255)))
        ok(client.ask("TERMINOLOGYSET", NAME=long(255), VALUE=long(255)))
        ok(client.ask("TERMINOLOGYSET", NAME="agent", VALUE="Clerk"))
        ok(client.ask("SITESET", ID=7, NAME=long(255)))
        before = whole(client)
        agent = listed(client).find("AGENT")
        assert {tag: agent.findtext(tag) for tag in ("FIRSTNAME", "LASTNAME", "SYS_USER", "DOMAIN", "EMAIL", "CRM_USER",
                                                     "EMPLOYEEID", "PHONES")} == {
            "FIRSTNAME": long(20), "LASTNAME": long(30), "SYS_USER": long(255), "DOMAIN": long(30), "EMAIL": long(255),
            "CRM_USER": long(50), "EMPLOYEEID": long(20), "PHONES": SMILEY * 10}
    daemon.kill()  # what was answered is durable
    daemon.start()
    with XmlClient(daemon.ports["xml"]) as client:
        assert whole(client) == before
        assert dict(terms(client.ask("FETCHTERMINOLOGY")))["agent"] == "Clerk"
        assert client.ask("ADDGROUP", GROUPNAME=long(255))["GROUPID"] == "1"
        assert client.ask("MODIFYROLE", ACTION="ADD", ROLENAMES=long(255)).code == 50
        assert add_user(client, "Next", "One", SITEID=7) == "2"
        ok(client.ask("TERMINOLOGYSET", NAME="agent"))
        assert dict(terms(client.ask("FETCHTERMINOLOGY")))["agent"] == "Agent"
    assert daemon.stop() == 0


def test_what_was_answered_survives_a_kill_at_any_moment(daemon):
    with XmlClient(daemon.ports["xml"]) as client:
        client.send("".join(request_text("ADDGROUP", n, GROUPNAME=f"group {n}") for n in range(3000)))
        answered = [ok(client.answer())["GROUPID"] for _ in range(500)]
        daemon.kill()
    daemon.start()
    with XmlClient(daemon.ports["xml"]) as client:
        for n, group in enumerate(answered):
            assert ok(client.ask("ADDGROUP", GROUPNAME=f"group {n}"))["GROUPID"] == group


def test_a_password_is_nowhere_and_each_change_is_in_the_audit_log(daemon, xml):
    secret = "Geheimes-Passwort-4711"
    add_user(xml, "John", "Doe", USERNAME="doe", PASSWORD=secret)
    ok(xml.ask("IMPORTUSER", ACTION="MODIFY", AGENTID=1, PASSWORD=secret + "x"))
    assert xml.ask("IMPORTUSER", ACTION="ADD", FIRSTNAME="John", LASTNAME="Doe", PASSWORD=secret).code == 54
    assert daemon.stop() == 0
    found = []
    for folder, _, names in os.walk(daemon.directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read()
            assert secret.encode() not in content, name
            found.append(b"scrypt$15$8$1$" in content)
    assert any(found)
    assert os.stat(os.path.join(daemon.store, "directory")).st_mode & 0o777 == 0o700
    with open(os.path.join(daemon.store, "log", "audit.jsonl"), encoding="utf-8") as log:
        lines = [json.loads(line) for line in log]
    assert [(line["about"].get("ACTION"), line["about"].get("AGENTID"), line["result"]) for line in lines
            if line["what"] == "IMPORTUSER"] == [("ADD", "1", "API_OK"), ("MODIFY", "1", "API_OK"),
                                                 ("ADD", None, "API_USER_ALREADY_EXIST")]


def test_users_are_listed_as_some_servers_do(start_daemon, tmp_path):
    daemon = start_daemon(tmp_path, ["pcap:lo"], api={"dialect": "5.x-users", "timezone": "Etc/GMT+5"})
    with XmlClient(daemon.ports["xml"]) as client:
        add_user(client, "John", "Doe", USERNAME="doe", DOMAIN="d", SITEID=1, ADD_TIME="4/12/2017 3:51:30 PM",
                 MOD_TIME="4/12/2017 9:51:30 PM+01:00")
        answer = ok(client.ask("IMPORTUSER", ACTION="LIST"))
    user = {child.tag: child.text for child in answer.root.find("USERS/USER")}
    wanted = {"USER_ID": "1", "USERNAME": "doe", "SYS_DOMAIN": "d", "SITE_ID": "1",
              "ADD_TIME": "4/12/2017 3:51:30 PM-05:00", "MOD_TIME": "4/12/2017 3:51:30 PM-05:00"}
    assert {tag: user[tag] for tag in wanted} == wanted
    assert answer["USERS/COUNT"] == "1"


def test_an_entry_that_cannot_be_read_stops_the_start_and_is_named(start_daemon, tmp_path):
    """Another program's database in its place."""
    daemon = start_daemon(tmp_path, ["pcap:lo"])
    assert daemon.stop() == 0
    current = os.path.join(daemon.store, "directory", "CURRENT")
    with open(current, "w", encoding="ascii") as file:
        file.write("nonsense\n")
    refused = programs.run(programs.SPANTAPED, "--config", daemon.config_path)
    assert refused.returncode != 0
    assert os.path.join(daemon.store, "directory") in refused.stderr


# --- agents of calls

def test_a_call_carries_the_agent_whose_phone_it_is_on(daemon, xml):
    add_user(xml, "John", "Doe", SYS_USER="jdoe", CRM_USER="john")
    add_user(xml, "Jane", "Roe", SYS_USER="jroe", CRM_USER="jane")
    ok(xml.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=1, PHONEID="555"))
    ok(xml.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=2, PHONEID="777"))
    events = Subscriber(daemon.ports["events"])
    try:
        def started(**parameters):
            ok(xml.ask("CALLSTART", **parameters))
            event = events.wait_for(lambda all_events: [e for e in all_events if e.type == "CALLSTART"][seen:],
                                    what="CALLSTART")[0]
            return [event.data[tag] for tag in ("DEVICEID", "AGENTID", "SYS_USER", "CRM_USER")]
        seen = 0
        assert started(DEVICEID="555") == ["555", "1", "jdoe", "john"]
        seen = 1
        # What the API gives stands.
        assert started(DEVICEID="777", SYS_USER="other") == ["777", "2", "other", "jane"]
        seen = 2
        # Free seating: the alias is the agent's number, whatever device it is on.
        assert started(DEVICEID="900", DEVICEALIAS="777") == ["900", "2", "jroe", "jane"]
        seen = 3
        assert started(DEVICEID="901") == ["901", "", "", ""]
    finally:
        events.close()


@pytest.mark.parametrize("named", [{"DEVICEALIAS": "555"}, {"SYS_USER": "jdoe"}, {"CRM_USER": "john"},
                                   {"STATIONNAME": "COMPUTER1"}, {"SYS_USER": "x" * 40}])
def test_a_device_is_found_through_the_directory(xml, named):
    refused = xml.ask("CALLSTART", **named)
    assert (refused.code, refused["RESULTMSG"]) == (8, "Could not find a device matching given parameters")
    add_user(xml, "John", "Doe", SYS_USER=named.get("SYS_USER", "jdoe"), CRM_USER="john")
    ok(xml.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=1, PHONEID="555"))
    ok(xml.ask("IMPORTWORKSTATION", DEVICEID="555", STATIONNAME="COMPUTER1", LOCATIONID=1))
    ok(xml.ask("CALLSTOP", **named))  # known, and in no call
    ok(xml.ask("CALLSTART", **named))
    devices = ok(xml.ask("DEVICELIST")).root.findall("DEVICES/DEVICE")
    assert [(device.findtext("DEVICEID"), device.findtext("SYS_USER"), device.findtext("STATION"))
            for device in devices] == [("555", named.get("SYS_USER", "jdoe")[:30], "COMPUTER1")]
    ok(xml.ask("CALLUPDATE", USER1="x", **named))
    ok(xml.ask("CALLSTOP", **named))
    assert xml.ask("CALLUPDATE", USER1="x", **named).code == 7


def test_recordings_name_their_agent_also_when_he_is_deleted(start_daemon, tmp_path):
    capture = tmp_path / "calls.pcap"
    made = programs.run(programs.SPANTAPE_GEN, "--calls", 2, "--seconds", 2, "--codec", "pcmu", "--out", capture)
    assert made.returncode == 0, made.stderr
    device = programs.spantape_json("record", capture, "--store", tmp_path / "tried", "--format", "none")[0]["device_id"]
    daemon = start_daemon(tmp_path, ["pcap:lo"])
    with XmlClient(daemon.ports["xml"]) as client:
        add_user(client, "Jörg", ODD, SYS_USER="jdoe")
        ok(client.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=1, PHONEID=device))
    assert daemon.stop() == 0
    # A file that is read into a store with a directory uses it, too.
    recorded = programs.spantape_json("record", capture, "--store", daemon.store, "--format", "none")
    assert sorted((r.get("agent_id", 0), r["device_id"] == device) for r in recorded) == [(0, False), (1, True)]
    daemon.start()
    with XmlClient(daemon.ports["xml"]) as client:
        def named():
            found = ok(client.ask("CALLLIST", DEVICEID=device)).root.find("SEARCHRESULT")
            return [found.findtext(tag) for tag in ("AGENTFIRSTNAME", "AGENTLASTNAME", "SYS_USER")]
        assert named() == ["Jörg", ODD, "jdoe"]
        ok(client.ask("IMPORTUSER", ACTION="DELETE", AGENTID=1))
        add_user(client, "New", "Owner")
        ok(client.ask("IMPORTAGENTPHONE", ACTION="ADD", AGENTID=2, PHONEID=device))
        assert named() == ["Jörg", ODD, "jdoe"]
