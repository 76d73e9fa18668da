# SPDX-License-Identifier: AGPL-3.0-or-later
"""Clients of the XML API, the event stream and the WebAPI, written from the manual alone."""

import functools
import http.client
import re
import socket
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

from support.programs import PATIENCE, spantape_json

# Values are escaped, so a closing root tag cannot stand inside a document.
DOCUMENT_END = re.compile(rb"</(RESULT|CALLCOPYEVENT)>\r\n")


def request_text(request_type, request_id=1, **parameters):
    tags = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in parameters.items())
    return f"<REQUEST><TYPE>{request_type}</TYPE><REQUESTID>{request_id}</REQUESTID>{tags}</REQUEST>\r\n"


# What any function may be answered with (manual: Result Codes), beside what its own page names.
ANY_FUNCTION = {11, 14, 15, 16, 17, 20, 26, 44, 47, 48, 49}


@functools.cache
def functions():
    """The table of functions, by name."""
    return {function["name"]: function for function in spantape_json("functions")}


class Answer:
    """A RESULT document; holds nothing that the table of functions does not name, and in its order."""

    def __init__(self, text):
        self.text = text
        self.root = ElementTree.fromstring(text)
        assert self.root.tag == "RESULT", text
        function = functions().get(self["REQUESTTYPE"] or "")
        if function:
            self._check(function)

    def _check(self, function):
        assert self.code in ANY_FUNCTION | set(function["codes"]), self.text[:2000]
        if function["results"] == ["*"]:
            return
        named = [re.compile(re.escape(name).replace(re.escape("#"), "[0-9]+")) for name in function["results"]]
        place = 0
        for element in self.root[5:]:
            while place < len(named) and not named[place].fullmatch(element.tag):
                place += 1
            assert place < len(named), f"{element.tag} is not in the table of functions there: {self.text[:2000]}"

    def __getitem__(self, tag):
        return self.root.findtext(tag)

    @property
    def code(self):
        return int(self["RESULTCODE"])

    def head(self):
        """The five elements every answer begins with, in order, as (tag, text)."""
        return [(child.tag, child.text or "") for child in self.root[:5]]

    def __repr__(self):
        return self.text


class XmlClient:
    """One connection to the XML API."""

    def __init__(self, port, timeout_s=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s * PATIENCE)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def document(self):
        """The next document as text, or None when the server closed the connection."""
        while True:
            end = DOCUMENT_END.search(self.buffer)
            if end:
                text, self.buffer = self.buffer[:end.end()], self.buffer[end.end():]
                return text.decode().strip()
            piece = self.socket.recv(65536)
            if not piece:
                assert not self.buffer.strip(), f"connection closed inside a document: {self.buffer[-200:]}"
                return None
            self.buffer += piece

    def answer(self):
        text = self.document()
        assert text is not None, "connection closed instead of an answer"
        return Answer(text)

    def ask(self, request_type, request_id=1, **parameters):
        self.send(request_text(request_type, request_id, **parameters))
        return self.answer()

    def ask_raw(self, text):
        self.send(text)
        return self.answer()


class Event:
    def __init__(self, text):
        root = ElementTree.fromstring(text)
        assert root.tag == "CALLCOPYEVENT", text
        self.text = text
        self.event_class = root.findtext("EVENTCLASS")
        self.type = (root.findtext("EVENTTYPE") or "").strip()
        self.xref = root.findtext("EVENTXREF")
        self.module = root.findtext("MODULE")
        self.data = {child.tag: child.text or "" for child in root.find("EVENTDATA")}
        self.arrived = time.time()

    def __repr__(self):
        return f"{self.type}({self.data.get('DEVICEID')})"


class Subscriber:
    """Collects events in a thread of its own, in the order in which they came."""

    def __init__(self, port, event_class="ALL", device="", request_id=77):
        self.client = XmlClient(port)
        self.answer = self.client.ask("EVENTS", request_id, EVENTCLASS=event_class, EVENTVALUE=device)
        assert self.answer.code == 20, self.answer
        self.client.socket.settimeout(None)
        self.events = []
        self.changed = threading.Condition()
        self.failure = None
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self):
        try:
            while (text := self.client.document()) is not None:
                event = Event(text)
                with self.changed:
                    self.events.append(event)
                    self.changed.notify_all()
        except OSError:
            pass
        except Exception as failure:  # told to the test by wait_for
            self.failure = failure

    def of(self, device):
        with self.changed:
            return [e for e in self.events if e.data.get("DEVICEID") == device]

    def wait_for(self, condition, timeout_s=10, what="event"):
        """Waits until condition(events) is true and returns its value."""
        end = time.monotonic() + timeout_s * PATIENCE
        with self.changed:
            while True:
                value = condition(self.events)
                if value:
                    return value
                left = end - time.monotonic()
                assert left > 0 and self.failure is None, \
                    f"{what}: not within {timeout_s} s ({self.failure}); last events {self.events[-8:]}"
                self.changed.wait(left)

    def wait_type(self, event_type, device, timeout_s=10, count=1):
        return self.wait_for(
            lambda events: len(found := [e for e in events if e.type == event_type
                                         and e.data.get("DEVICEID") == device]) >= count and found[-1],
            timeout_s, f"{event_type} of {device}")

    def close(self):
        try:
            self.client.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.client.close()
        self.thread.join(5)


class WebClient:
    """The WebAPI over HTTP."""

    def __init__(self, port, page="/webAPI.aspx"):
        self.port = port
        self.page = page

    def http(self, method, path, body=None, headers=None, timeout_s=20):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s * PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, **parameters):
        return self.http("GET", self.page + "?" + urllib.parse.urlencode(parameters))

    def ask(self, request_type, request_id=1, **parameters):
        status, headers, body = self.get(type=request_type, requestid=request_id, **parameters)
        assert status == 200, (status, body[:500])
        assert headers["Content-Type"].lower().replace(" ", "") == "text/xml;charset=utf-8"
        return Answer(body.decode())

    def export(self, field, value, media_format="wav"):
        """The audio file of a recording, as bytes."""
        status, headers, body = self.get(type="export", requestid=1, uniquefield=field, uniqueid=value,
                                         media_format=media_format)
        assert status == 200 and headers["Content-Type"].startswith("audio/"), (status, headers, body[:500])
        return body
