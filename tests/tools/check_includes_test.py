#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""tools/check_includes finds what it promises to find, and lets pass what is right."""

import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "check_includes")
SPDX = "// SPDX-License-Identifier: AGPL-3.0-or-later\n"


def run_on(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


class CheckIncludes(unittest.TestCase):
    def assert_refused(self, files, *words):
        code, output = run_on(files)
        self.assertEqual(code, 1, output)
        for word in words:
            self.assertIn(word, output)

    def assert_passes(self, files):
        code, output = run_on(files)
        self.assertEqual(code, 0, output)

    def test_an_include_along_the_direction_passes(self):
        self.assert_passes({"api/control/calls.cc": SPDX + '#include "storage/recording.h"\n#include <vector>\n'})

    def test_an_include_against_the_direction_is_named_with_its_line(self):
        self.assert_refused({"capture/rtp/ring.cc": SPDX + "\n" + '#include "storage/recording.h"\n'},
                            "capture/rtp/ring.cc:3:", "includes go")

    def test_the_layers_may_not_include_tests_or_tools(self):
        self.assert_refused({"api/protocol/xml.cc": SPDX + '#include "tests/helper.h"\n'}, "outside the layers")

    def test_tests_and_tools_may_include_any_layer(self):
        self.assert_passes({"tests/capture/a_test.cc": SPDX + '#include "appliance/config.h"\n',
                            "tools/spantape.cc": SPDX + '#include "api/protocol/message.h"\n'})

    def test_a_third_party_header_outside_its_home_is_refused(self):
        homes = {"pcap/pcap.h": "capture/packet/a.cc", "osipparser2/osip_parser.h": "capture/rtp/a.cc",
                 "rocksdb/db.h": "storage/segment/a.cc", "liburing.h": "storage/segment/writer.cc",
                 "pugixml.hpp": "api/functions/a.cc", "toml++/toml.h": "api/control/a.cc",
                 "boost/asio/io_context.hpp": "api/control/a.cc", "gtest/gtest.h": "capture/base/a.cc"}
        for header, name in homes.items():
            with self.subTest(header=header):
                self.assert_refused({name: SPDX + f"#include <{header}>\n"}, header)

    def test_a_third_party_header_at_home_passes(self):
        self.assert_passes({"capture/source/pcap.cc": SPDX + "#include <pcap/pcap.h>\n",
                            "storage/segment/uring_file.cc": SPDX + "#include <liburing.h>\n",
                            "api/protocol/servers.cc": SPDX + "#include <boost/beast/http.hpp>\n",
                            "tests/api/x_test.cc": SPDX + "#include <gtest/gtest.h>\n#include <pugixml.hpp>\n"})

    def test_a_file_without_licence_line_is_refused(self):
        self.assert_refused({"capture/base/a.h": "#pragma once\n"}, "SPDX")
        self.assert_refused({"tools/thing": "#!/bin/sh\nexit 0\n"}, "SPDX")

    def test_a_file_of_more_than_one_job_is_refused(self):
        self.assert_refused({"api/functions/all.cc": SPDX + "int x;\n" * 900}, "more than one job")

    def test_build_directories_are_not_read(self):
        self.assert_passes({"build-x/generated.cc": '#include "nothing.h"\n'})


if __name__ == "__main__":
    unittest.main()
