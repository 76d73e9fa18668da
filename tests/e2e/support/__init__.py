# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the end-to-end tests stand on: the programs under test, their clients, networks and real SIP peers."""
