# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of a real daemon under load: bench/api_load asks, and a bare Asio echo of the same bytes is the peer."""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from support import programs  # noqa: E402  (the path comes first)

LOAD = os.path.join(programs.BUILD, "bench", "api_load")


def load(*arguments, text=None):
    """What api_load tells; ends the run when it does not."""
    done = subprocess.run([LOAD, *(str(a) for a in arguments)], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench/run: api_load {arguments[0]}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def appliance(store=None):
    """A daemon without sources, that takes any number of clients."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        daemon = programs.Daemon(directory, [], api={"max_clients": 100000, "event_backlog": 100000})
        if store:
            os.rmdir(daemon.store)
            shutil.move(store, daemon.store)
        daemon.start(timeout_s=300)
        try:
            yield daemon
            daemon.stop(timeout_s=60)
        finally:
            if daemon.alive():
                daemon.kill()
            if store:
                shutil.move(daemon.store, store)


@contextlib.contextmanager
def echo():
    """The peer's port."""
    with subprocess.Popen([LOAD, "echo"], stdout=subprocess.PIPE, text=True) as peer:
        try:
            yield int(re.search(r":(\d+)$", peer.stdout.readline()).group(1))
        finally:
            peer.kill()


def check(what, result, wanted):
    """What was asked must have been answered, in order and well, else the figure says nothing."""
    if result["answers"] < wanted or result["wrong_order"] or result["failures"]:
        sys.exit(f"bench/run: {what}: {result}")


def pipelined(kind, seconds):
    """Requests a second of the appliance and of the peer."""
    arguments = ("--clients", 4, "--depth", 128, "--seconds", seconds, "--kind", kind)
    with appliance() as daemon:
        ours = load("pipelined", "--port", daemon.ports["xml"], *arguments)
    with echo() as port:
        peer = load("pipelined", "--port", port, "--echo", *arguments)
    check(f"pipelined {kind}", ours, 1)
    return ours["requests_per_s"], peer["requests_per_s"]


def paced(kind, clients, rate, seconds):
    """Latencies of the appliance and of the peer."""
    arguments = ("--clients", clients, "--rate", rate, "--seconds", seconds, "--kind", kind)
    with appliance() as daemon:
        ours = load("paced", "--port", daemon.ports["xml"], *arguments)
    with echo() as port:
        peer = load("paced", "--port", port, "--echo", *arguments)
    check(f"paced {kind}", ours, int(rate * seconds))
    return ours, peer


def events(subscribers, rate, seconds):
    with appliance() as daemon:
        return load("events", "--port", daemon.ports["xml"], "--events-port", daemon.ports["events"], "--clients",
                    subscribers, "--rate", rate, "--seconds", seconds)


def hold(clients):
    with appliance() as daemon:
        result = load("hold", "--port", daemon.ports["xml"], "--pid", daemon.pid, "--clients", clients)
    check("hold", result, clients * result["rounds"])
    return result


def call_list(recordings, requests, store=None):
    """Latencies of CALLLIST by what it asks for. store: made once, and kept; else it is made for this run."""
    program = os.path.join(programs.BUILD, "bench", "call_list")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        made = store or os.path.join(directory, "store")
        if not os.path.exists(os.path.join(made, "index")):
            subprocess.run([program, "build", "--store", made, "--count", str(recordings)], check=True)
        with appliance(made) as daemon:
            results = []
            for seed, count in ((1_000_000, requests // 4), (0, requests)):  # the first warms up
                text = subprocess.run([program, "requests", "--count", str(count), "--seed", str(seed)], check=True,
                                      capture_output=True, text=True).stdout
                results.append(load("ask", "--port", daemon.ports["xml"], text=text))
        return results[-1]
