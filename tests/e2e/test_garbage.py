# SPDX-License-Identifier: AGPL-3.0-or-later
"""1,000 connections that talk garbage to every port, while good clients want answers."""

import os
import random
import selectors
import socket
import threading
import time

import pytest

from support import programs
from support.clients import WebClient, XmlClient, request_text

CONNECTIONS = 1000
SECONDS = 12
MEMORY_LIMIT_BYTES = 300 << 20  # above what it had before
ANSWER_LIMIT_S = 2.0

HTTP = (b"GET /webAPI.aspx?type=test&requestid=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /webAPI.php HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\ntype=",
        b"GET /webAPI.aspx?" + b"a=%zz&" * 500 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n",
        b"POST /webAPI.aspx HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nx", b"\x16\x03\x01\x02\x00\x01")
XML = tuple(request_text(kind, DEVICEID="1", USER1="x").encode()
            for kind in ("TEST", "CALLSTART", "CALLSTOP", "CALLLIST", "EVENTS", "DEVICELIST")) + (
    b"<REQUEST>" * 3000, b"<!DOCTYPE a [<!ENTITY b 'c'>]><REQUEST>&b;</REQUEST>\r\n", b"<REQUEST><TYPE>" + b"A" * 9000,
    b"<REQUEST a='" + b"&#" * 900, b"\r\n" * 2000, b"</REQUEST></REQUEST>\r\n")


def garbage(chance, web):
    """Bytes that are random, or a request that was damaged, cut, or doubled."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 3000))
    piece = bytearray(chance.choice(HTTP if web else XML))
    if kind == 1:
        for _ in range(chance.randrange(1, 8)):
            piece[chance.randrange(len(piece))] = chance.randrange(256)
    elif kind == 2:
        del piece[chance.randrange(len(piece)):]
    return bytes(piece)


class Noise:
    """The connections, all driven by one thread; a closed one is opened again."""

    def __init__(self, ports, seed):
        self.chance = random.Random(seed)
        self.ports = ports
        self.selector = selectors.DefaultSelector()
        self.sent = self.opened = 0
        self.most = 0
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _open(self, number):
        name, port = self.ports[number % len(self.ports)]
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", port))
        self.opened += 1
        self.selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, (number, name == "webapi"))

    def _run(self):
        for number in range(CONNECTIONS):
            self._open(number)
        while self.running:
            for key, events in self.selector.select(0.1):
                if not self.running:
                    break
                self._talk(key, events)
            self.most = max(self.most, len(self.selector.get_map()))
            time.sleep(0.002)

    def _talk(self, key, events):
        number, web = key.data
        try:
            if events & selectors.EVENT_READ and not key.fileobj.recv(65536):
                raise ConnectionError
            # Some stay silent, some read nothing: slow clients are garbage too.
            if events & selectors.EVENT_WRITE and self.chance.random() < 0.05:
                self.sent += key.fileobj.send(garbage(self.chance, web))
        except BlockingIOError:
            pass
        except OSError:
            self.selector.unregister(key.fileobj)
            key.fileobj.close()
            self._open(number)

    def stop(self):
        self.running = False
        self.thread.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()


@pytest.fixture(scope="module")
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], api={
        "xml": "127.0.0.1:0", "events": "127.0.0.1:0", "max_clients": CONNECTIONS + 50}).start()
    yield appliance
    appliance.kill()


def test_nothing_dies_and_good_clients_are_answered(daemon):
    seed = int(os.environ.get("SPANTAPE_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SPANTAPE_SEED={seed}")
    pid, before = daemon.pid, daemon.resident_bytes()
    ports = [(name, daemon.ports[name]) for name in ("xml", "events", "webapi")]
    noise = Noise(ports, seed)
    good, web, slowest, answers = XmlClient(daemon.ports["xml"]), WebClient(daemon.ports["webapi"]), 0.0, 0
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            started = time.monotonic()
            answers += 1
            assert good.ask("TEST", answers).head()[1] == ("REQUESTID", str(answers))
            assert web.ask("TEST", answers).code == 20
            with XmlClient(daemon.ports["xml"]) as fresh:
                assert fresh.ask("CHANNELS").code == 20
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.05)
    finally:
        noise.stop()
        good.close()
    print(f"{noise.sent} bytes of garbage over {noise.opened} connections, {answers} rounds answered, slowest "
          f"{slowest:.3f} s")
    assert noise.most >= CONNECTIONS * 0.95, "the noise was never as loud as it should be"
    assert slowest < ANSWER_LIMIT_S * programs.PATIENCE
    assert daemon.alive() and daemon.pid == pid
    assert daemon.resident_bytes() < before + MEMORY_LIMIT_BYTES
    with XmlClient(daemon.ports["xml"]) as client:  # and it lets them all in again
        assert client.ask("TEST").code == 20
    assert daemon.stop() == 0


def test_garbage_on_the_wire_is_only_counted(start_daemon, directory, port, exchange):
    seed = int(os.environ.get("SPANTAPE_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SPANTAPE_SEED={seed}")
    chance = random.Random(seed)
    place = directory / "wire"
    place.mkdir()
    daemon = start_daemon(place, [f"pcap:{port.inside}"])
    call = exchange.call("7900")
    for _ in range(20000):
        frame = bytearray(chance.randbytes(chance.randrange(14, 400)))
        kind = chance.randrange(4)
        if kind == 1:  # IPv4 with everything behind it random
            frame[12:24] = b"\x08\x00\x45\x00" + chance.randbytes(7) + b"\x11"
        elif kind == 2:  # broken SIP
            frame[12:42] = b"\x08\x00\x45\x00" + bytes(7) + b"\x11" + chance.randbytes(18)
            frame[42:] = chance.choice([b"INVITE sip:a@b SIP/2.0\r\nCall-ID: ", b"SIP/2.0 200 OK\r\n\xff\x00"]) + frame[42:]
        elif kind == 3:  # VLAN upon VLAN
            frame[12:14] = b"\x81\x00"
        port.send(bytes(frame))
    time.sleep(1)
    call.end()
    with XmlClient(daemon.ports["xml"]) as client:
        results = programs.wait_until(
            lambda: list(client.ask("CALLLIST", DEVICEID="7900").root.iter("SEARCHRESULT")), 10, "the good call")
    assert len(results) == 1
    assert daemon.alive()
    assert daemon.stop() == 0
