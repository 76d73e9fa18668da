// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/start_line.h"

#include <gtest/gtest.h>

#include "tests/capture/sip/sip_texts.h"

namespace spantape {
namespace {

using sip_test::bytes_of;

TEST(StartLine, RequestsAndAnswersBeginMessages) {
    for (const char* line :
         {"INVITE sip:bob@example.com SIP/2.0", "BYE tel:+4930123456 SIP/2.0\r", "X-NEW urn:service:sos SIP/2.0 ",
          "ACK sip:b o b@example.com SIP/2.0", "SIP/2.0 200 OK", "SIP/2.0 100", "SIP/2.0 486 "})
        EXPECT_TRUE(is_sip_start_line(line)) << line;
}

TEST(StartLine, OtherProtocolsHeadersAndBodiesDoNot) {
    for (const char* line : {"",
                             "SIP/2.0",
                             "SIP/2.0 ",
                             "SIP/2.0 20",
                             "SIP/2.0 2000",
                             "SIP/2.0 abc",
                             "SIP/2.0 700 No",
                             "SIP/2.0200 OK",
                             "OPTIONS rtsp://camera/1 RTSP/1.0",
                             "NOTIFY * HTTP/1.1",
                             "GET http://a SIP/1.0",
                             "INVITE SIP/2.0",
                             "INVITE  SIP/2.0",
                             "INVITE bob SIP/2.0",
                             "Via: SIP/2.0/TCP a SIP/2.0",
                             "Subject : a: SIP/2.0",
                             "invite sip:bob@example.com SIP/2.0",
                             " INVITE sip:bob@example.com SIP/2.0",
                             "INVITE sip:bob@example.comSIP/2.0",
                             "v=0"})
        EXPECT_FALSE(is_sip_start_line(line)) << line;
}

TEST(StartLine, AStreamBeginsWithAWholeOneAfterBlankLines) {
    EXPECT_TRUE(begins_with_sip_start_line(bytes_of("\r\n\r\nINVITE sip:a@b SIP/2.0\r\nVia: ")));
    EXPECT_FALSE(begins_with_sip_start_line(bytes_of("INVITE sip:a@b SIP/2.0")));
    EXPECT_FALSE(begins_with_sip_start_line(bytes_of("GET / HTTP/1.1\r\n\r\nINVITE sip:a@b SIP/2.0\r\n")));
    EXPECT_FALSE(begins_with_sip_start_line(bytes_of("\r\n\r\n")));
    EXPECT_FALSE(begins_with_sip_start_line({}));
    EXPECT_FALSE(begins_with_sip_start_line(bytes_of(std::string(100'000, 'A') + " sip:a SIP/2.0\r\n")));
}

TEST(StartLine, KeepAlivesAreLineEndsOnly) {
    EXPECT_TRUE(only_line_ends(bytes_of("\r\n\r\n")));
    EXPECT_FALSE(only_line_ends(bytes_of("\r\n ")));
}

}  // namespace
}  // namespace spantape
