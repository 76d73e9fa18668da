# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fixtures of the end-to-end tests: black box, real sockets, real captures, real SIP peers."""

import os

import pytest

from support import network, phones, programs
from support.clients import Subscriber, WebClient, XmlClient
from support.dark import noise

LONGEST = ("test_blackout", "test_encapsulations", "test_past_blackout", "test_store")


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: takes all processors or needs them in time: nothing runs beside it")


def pytest_collection_modifyitems(items):
    """Of files that run beside each other the longest begin first: nobody waits for them at the end."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_report_header():
    return f"programs: {programs.BUILD}; captures: {programs.CAPTURES}"


@pytest.fixture(scope="session", autouse=True)
def programs_are_built():
    for path in (programs.SPANTAPED, programs.SPANTAPE):
        if not os.access(path, os.X_OK):
            pytest.fail(f"not built: {path} (SPANTAPE_BUILD names the build directory)", pytrace=False)


@pytest.fixture(scope="session")
def networks():
    """Skips, with the reason, where networks cannot be made."""
    reason = network.unusable() or programs.missing("ip", "tc", "tcpdump", "ethtool")
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def port(networks):
    cable = network.Port()
    yield cable
    cable.close()


@pytest.fixture(scope="module")
def exchange(port):
    office = phones.Exchange(port)
    yield office
    office.close()


@pytest.fixture
def noisy(exchange):
    """An exchange, of this test and others, no two packets of whose audio are alike."""
    before = exchange.audio
    exchange.audio = noise()
    yield exchange
    exchange.audio = before


@pytest.fixture(scope="module")
def mirror(networks):
    hosts = network.Mirror()
    yield hosts
    hosts.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory, request):
    return tmp_path_factory.mktemp(request.module.__name__)


# Clients of the appliance that a module starts as its fixture `daemon`.
@pytest.fixture
def xml(daemon):
    with XmlClient(daemon.ports["xml"]) as client:
        yield client


@pytest.fixture(scope="module")
def web(daemon):
    return WebClient(daemon.ports["webapi"])


@pytest.fixture(scope="module")
def events(daemon):
    subscriber = Subscriber(daemon.ports["events"])
    yield subscriber
    subscriber.close()


@pytest.fixture
def start_daemon(tmp_path):
    """Starts appliances for one test and ends them after it."""
    started = []

    def start(*arguments, **sections):
        daemon = programs.Daemon(*arguments, **sections) if arguments else programs.Daemon(tmp_path, [], **sections)
        started.append(daemon)
        return daemon.start()

    yield start
    for daemon in started:
        if daemon.alive():
            daemon.kill()
