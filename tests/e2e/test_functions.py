# SPDX-License-Identifier: AGPL-3.0-or-later
"""The table of functions, and what the README says of it."""

import pathlib

from support import programs


def test_the_readme_shows_the_table_as_it_is():
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    shown = programs.run(programs.SPANTAPE, "functions", "--markdown")
    assert shown.returncode == 0
    assert shown.stdout in readme, "put what `spantape functions --markdown` prints into README.md"


def test_functions_are_told_for_people_and_machines():
    shown = programs.run(programs.SPANTAPE, "functions")
    assert shown.returncode == 0 and "CALLSTART" in shown.stdout
    table = {function["name"]: function for function in programs.spantape_json("functions")}
    assert table["IMPORTSTATION"]["state"] == "deprecated: IMPORTWORKSTATION"
    user4 = next(p for p in table["CALLSTART"]["parameters"] if p["name"] == "USER4")
    assert user4 == {"name": "USER4", "type": "text(255)", "required": False, "size": 255, "wrong": 16}
