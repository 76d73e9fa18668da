# SPDX-License-Identifier: AGPL-3.0-or-later
"""Networks to capture on: a port that frames can be sent into, and two hosts joined by a cable with a mirror port."""

import itertools
import os
import socket
import subprocess

_numbers = itertools.count()


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _quietly(*arguments):
    subprocess.run(arguments, check=False, capture_output=True)


def _name(kind):
    # Interface names have 15 characters; the process id keeps runs beside each other apart.
    return f"{kind}{os.getpid()}x{next(_numbers)}"


def unusable():
    """A reason why networks cannot be made here, else None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = _name("spu")
    done = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True)
    _quietly("ip", "netns", "del", name)
    return None if done.returncode == 0 else f"no network namespaces here: {done.stderr.strip()}"


def _listen_only(interface):
    """Up, and silent: no address, no neighbour discovery."""
    with open(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")
    _ip("link", "set", interface, "up")


class Port:
    """A cable: frames sent into `outside` arrive on `inside`, where the recorder listens."""

    def __init__(self, inside=None):
        self.inside, self.outside = inside or _name("spi"), _name("spo")
        _ip("link", "add", "name", self.inside, "type", "veth", "peer", "name", self.outside)
        try:
            _listen_only(self.inside)
            _listen_only(self.outside)
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.socket.bind((self.outside, 0))
        except Exception:
            self.close()
            raise

    def send(self, frame):
        self.socket.send(frame)

    def close(self):
        if hasattr(self, "socket"):
            self.socket.close()
        _quietly("ip", "link", "del", self.inside)


class Mirror:
    """Two hosts (network namespaces `a` and `b`) joined by a veth pair; whatever passes is copied to `mirror`."""

    ADDRESS_A, ADDRESS_B = "10.91.7.1", "10.91.7.2"

    def __init__(self):
        self.a, self.b = _name("spa"), _name("spb")
        self.mirror, feed = _name("spm"), _name("spf")
        try:
            for namespace in (self.a, self.b):
                _ip("netns", "add", namespace)
                _ip("-n", namespace, "link", "set", "lo", "up")
            self._connect("eth0", self.ADDRESS_A, self.ADDRESS_B)
            _ip("link", "add", "name", self.mirror, "type", "veth", "peer", "name", feed)
            _ip("link", "set", feed, "netns", self.a)
            _ip("-n", self.a, "link", "set", feed, "up")
            _listen_only(self.mirror)
            self._copy_to(feed)
        except Exception:
            self.close()
            raise

    def _connect(self, interface, address_a, address_b):
        near, far = _name("spc"), _name("spd")
        _ip("link", "add", "name", near, "type", "veth", "peer", "name", far)
        for end, namespace, address in ((near, self.a, address_a), (far, self.b, address_b)):
            _ip("link", "set", end, "netns", namespace, "name", interface)
            _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", interface)
            _ip("-n", namespace, "link", "set", interface, "up")
            # A real wire carries finished checksums and no super-packets.
            _quietly("ip", "netns", "exec", namespace, "ethtool", "-K", interface, "tx", "off", "gso", "off", "gro",
                     "off")

    def _copy_to(self, feed):
        """Like a switch's mirror session, both directions; not every kernel has the matchall classifier."""
        def tc(*arguments):
            return subprocess.run(["ip", "netns", "exec", self.a, "tc", *arguments], check=False, capture_output=True,
                                  text=True)
        tc("qdisc", "add", "dev", "eth0", "clsact")
        for direction in ("ingress", "egress"):
            action = ("action", "mirred", "egress", "mirror", "dev", feed)
            begin = ("filter", "add", "dev", "eth0", direction, "protocol", "all")
            if tc(*begin, "matchall", *action).returncode != 0:
                done = tc(*begin, "u32", "match", "u32", "0", "0", *action)
                if done.returncode != 0:
                    raise RuntimeError(f"no way to mirror a port here: {done.stderr.strip()}")

    def close(self):
        for namespace in (self.a, self.b):
            _quietly("ip", "netns", "del", namespace)
        _quietly("ip", "link", "del", self.mirror)
