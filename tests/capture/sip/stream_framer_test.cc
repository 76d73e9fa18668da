// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/stream_framer.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/capture/sip/sip_texts.h"

namespace spantape {
namespace {

using sip_test::bytes_of;
using sip_test::MessageText;

std::string message(const std::string& call_id, const std::string& body = "") {
    return MessageText{.start_line = "INVITE sip:bob@example.com SIP/2.0", .call_id = call_id, .body = body}.text();
}

// With headers of our choice instead of the ones that MessageText writes.
std::string headed(const std::string& headers, const std::string& body = "") {
    return "INVITE sip:bob@example.com SIP/2.0\r\nCall-ID: x\r\n" + headers + "\r\n" + body;
}

class StreamFramer : public testing::Test {
protected:
    void feed(std::string_view text) { framer_.bytes(bytes_of(text), take_); }
    void feed_in_pieces(std::string_view text, std::size_t piece_bytes) {
        for (; !text.empty(); text.remove_prefix(std::min(piece_bytes, text.size()))) feed(text.substr(0, piece_bytes));
    }
    void lose(std::uint64_t bytes) { framer_.gap(bytes, take_); }

    SipStreamFramer framer_;
    std::vector<std::string> given_;
    SipStreamFramer::Take take_ = [this](std::span<const std::uint8_t> bytes) {
        given_.emplace_back(bytes.begin(), bytes.end());
    };
};
using Messages = std::vector<std::string>;

TEST_F(StreamFramer, MessagesAreTheSameHoweverTheyAreSplit) {
    const Messages messages{message("a", "v=0\r\n"), message("b"), message("c", std::string(300, 'x'))};
    const std::string stream = "\r\n\r\n" + messages[0] + messages[1] + "\r\n\r\n" + messages[2] + "\r\n";
    for (std::size_t at = 0; at <= stream.size(); ++at) {
        SCOPED_TRACE(at);
        given_.clear();
        feed(stream.substr(0, at));
        feed(stream.substr(at));
        ASSERT_EQ(given_, messages);
    }
    given_.clear();
    feed_in_pieces(stream, 1);
    EXPECT_EQ(given_, messages);
    EXPECT_EQ(framer_.resyncs(), 0u);
}

TEST_F(StreamFramer, AMessageIsGivenAsSoonAsItIsWhole) {
    const std::string text = message("a", "v=0\r\n");
    feed(text.substr(0, text.size() - 1));
    EXPECT_TRUE(given_.empty());
    feed(text.substr(text.size() - 1));
    EXPECT_EQ(given_, Messages{text});
    EXPECT_EQ(framer_.held_bytes(), 0u);
}

TEST_F(StreamFramer, TheLengthIsReadInEveryForm) {
    for (const char* header : {"Content-Length: 4\r\n", "l:4\r\n", "L : 4 \r\n", "CONTENT-LENGTH:\t4\r\n",
                               "Content-Length:\r\n 4\r\n", "Content-Length: 4\n", "Content-Length: x\r\nl: 4\r\n"}) {
        SCOPED_TRACE(header);
        given_.clear();
        feed(headed(header, "v=0\n") + message("next"));
        ASSERT_EQ(given_, (Messages{headed(header, "v=0\n"), message("next")}));
    }
}

TEST_F(StreamFramer, ABodyThatLooksLikeAMessageIsABody) {
    const std::string text = message("a", message("inner") + "SIP/2.0 200 OK\r\n");
    feed(text + message("next"));
    EXPECT_EQ(given_, (Messages{text, message("next")}));
}

TEST_F(StreamFramer, ABodyOf64KilobytesInSegmentsIsWhole) {
    const std::string text = message("a", std::string(200'000, 'x'));
    feed_in_pieces(text + message("next"), 1460);
    EXPECT_EQ(given_, (Messages{text, message("next")}));
}

TEST_F(StreamFramer, WithoutALengthTheHeadersAreTheMessage) {
    feed(headed("Subject: a\r\n") + message("next"));
    EXPECT_EQ(given_, (Messages{headed("Subject: a\r\n"), message("next")}));
}

TEST_F(StreamFramer, WithoutALengthABodyThatIsAnnouncedLastsToThePieceOrTheNextMessage) {
    for (const char* header : {"c: application/sdp\r\n", "Content-Type: application/sdp\r\nContent-Length: -1\r\n",
                               "Content-Type: application/sdp\r\nContent-Length: 99999999999\r\n"}) {
        SCOPED_TRACE(header);
        const std::string text = headed(header, "v=0\r\ns=-\r\n");
        given_.clear();
        feed(text);
        ASSERT_EQ(given_, Messages{text});
        feed("a=more\r\n" + text + message("next"));
        ASSERT_EQ(given_, (Messages{text, text, message("next")}));
    }
}

TEST_F(StreamFramer, ALengthBeyondAllBoundsDoesNotSwallowWhatFollows) {
    feed(headed("Content-Length: 4000000000\r\n"));
    feed(message("next"));
    EXPECT_EQ(given_.back(), message("next"));
}

TEST_F(StreamFramer, GarbageEndsAtTheNextStartLine) {
    feed("half a line\r\nVia: x\r\n\r\nm=audio\r\n" + message("a") + std::string("\x16\x03\x01\0\n", 5) + message("b"));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
    EXPECT_EQ(framer_.resyncs(), 1u);  // at the beginning of a stream it is none
}

// XML bodies have no line end; what is left of one stands before the next message.
TEST_F(StreamFramer, TheNextMessageIsFoundBehindTheRestOfABody) {
    feed("</presence>" + message("a") + "x</dialog>SIP/2.0 200 OK\r\nCall-ID: b\r\nl:0\r\n\r\n");
    EXPECT_EQ(given_, (Messages{message("a"), "SIP/2.0 200 OK\r\nCall-ID: b\r\nl:0\r\n\r\n"}));
}

TEST_F(StreamFramer, ABodyLongerThanItsLengthCostsOnlyItself) {
    const std::string text = headed("Content-Length: 3\r\n", "v=0");
    feed(text + "\r\no=- 1 1\r\n" + message("next"));
    EXPECT_EQ(given_, (Messages{text, message("next")}));
}

TEST_F(StreamFramer, HeadersWithoutEndGiveWayToTheNextStartLine) {
    feed("INVITE sip:a@b SIP/2.0\r\nVia: x\r\n" + message("next"));
    EXPECT_EQ(given_, Messages{message("next")});
    EXPECT_EQ(framer_.resyncs(), 1u);
}

TEST_F(StreamFramer, GarbageWithoutLineEndsIsBounded) {
    std::size_t most = 0;
    for (int i = 0; i < 1000; ++i) {
        feed(std::string(1000, 'x'));
        most = std::max(most, framer_.held_bytes());
    }
    EXPECT_LT(most, 64u << 10);
    feed("INVITE sip:rest@of.the.line SIP/2.0\r\n\r\n" + message("next"));
    EXPECT_EQ(given_, Messages{message("next")});
}

TEST_F(StreamFramer, HeadersBeyondAllBoundsAreGivenUp) {
    feed("INVITE sip:a@b SIP/2.0\r\n");
    for (int i = 0; i < 10'000; ++i) feed("X-Header: " + std::string(50, 'x') + "\r\n");
    EXPECT_LT(framer_.held_bytes(), 4 * SipStreamFramer::kMaxHeaderBytes);
    feed("\r\n" + message("next"));
    EXPECT_EQ(given_, Messages{message("next")});
}

TEST_F(StreamFramer, AGapInHeadersCostsThatMessage) {
    const std::string text = message("a", "v=0\r\n");
    feed(text.substr(0, 60));
    lose(20);
    feed(text.substr(80) + message("next"));
    EXPECT_EQ(given_, Messages{message("next")});
}

TEST_F(StreamFramer, AHoleInABodyCostsNothingElse) {
    const std::string text = message("a", std::string(1000, 'x'));
    feed(text.substr(0, text.size() - 900));
    lose(500);
    feed(text.substr(text.size() - 400) + message("next"));
    EXPECT_EQ(given_, (Messages{text.substr(0, text.size() - 900), message("next")}));
    EXPECT_EQ(framer_.resyncs(), 0u);
}

TEST_F(StreamFramer, TwoHolesInABodyCostNothingElse) {
    const std::string text = message("a", std::string(1000, 'x'));
    feed(text.substr(0, text.size() - 900));
    lose(100);
    feed(std::string(100, 'x'));
    lose(300);
    feed(std::string(400, 'x') + message("next"));
    EXPECT_EQ(given_.back(), message("next"));
    EXPECT_EQ(given_.size(), 2u);
}

TEST_F(StreamFramer, AGapBeyondABodyEndsAtTheNextStartLine) {
    const std::string text = message("a", std::string(100, 'x'));
    feed(text.substr(0, text.size() - 50));
    lose(500);
    feed("rest of a header\r\n\r\n" + message("next"));
    EXPECT_EQ(given_, (Messages{text.substr(0, text.size() - 50), message("next")}));
}

TEST_F(StreamFramer, AGapBetweenMessagesIsFollowedByOne) {
    feed(message("a"));
    lose(300);
    feed(message("b"));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
}

TEST_F(StreamFramer, ClosingGivesABodyThatWasCut) {
    const std::string text = message("a", std::string(100, 'x'));
    feed(text.substr(0, text.size() - 50));
    framer_.close(take_);
    EXPECT_EQ(given_, Messages{text.substr(0, text.size() - 50)});
    feed(message("b").substr(0, 30));
    framer_.close(take_);
    EXPECT_EQ(given_.size(), 1u);
    EXPECT_EQ(framer_.held_bytes(), 0u);
    feed(message("c"));
    EXPECT_EQ(given_.back(), message("c"));
}

}  // namespace
}  // namespace spantape
