// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/xml_framer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace spantape::api {
namespace {

using Kind = XmlFramer::Item::Kind;

void feed(XmlFramer& framer, std::string_view bytes) {
    const auto space = framer.space(bytes.size());
    if (!bytes.empty()) std::memcpy(space.data(), bytes.data(), bytes.size());
    framer.filled(bytes.size());
}

// What comes out: documents as they are, "BROKEN" and "TOO LARGE" between them.
std::vector<std::string> drain(XmlFramer& framer) {
    std::vector<std::string> items;
    while (true) {
        const auto item = framer.next();
        if (item.kind == Kind::kNeedMore) return items;
        if (item.kind == Kind::kDocument) items.emplace_back(item.document.data(), item.document.size());
        if (item.kind == Kind::kBroken) items.emplace_back("BROKEN");
        if (item.kind == Kind::kTooLarge) return items.emplace_back("TOO LARGE"), items;
    }
}

std::vector<std::string> frame(std::string_view bytes) {
    XmlFramer framer(64u << 10);
    feed(framer, bytes);
    return drain(framer);
}

std::vector<std::string> frame_byte_by_byte(std::string_view bytes) {
    XmlFramer framer(64u << 10);
    std::vector<std::string> items;
    for (const char byte : bytes) {
        feed(framer, {&byte, 1});
        for (auto& item : drain(framer)) items.push_back(std::move(item));
    }
    return items;
}

using Items = std::vector<std::string>;

TEST(XmlFramer, RequestIsCompleteWhenItsRootCloses) {
    EXPECT_EQ(frame("<REQUEST>\r\n  <TYPE>TEST</TYPE>\r\n</REQUEST>"),
              Items{"<REQUEST>\r\n  <TYPE>TEST</TYPE>\r\n</REQUEST>"});
    EXPECT_EQ(frame("<TEST/>"), Items{"<TEST/>"});
    EXPECT_EQ(frame("<TEST a='1'  b = \">/\" />"), Items{"<TEST a='1'  b = \">/\" />"});
    EXPECT_EQ(frame("<REQUEST><TYPE>TEST</TYPE>"), Items{});
}

TEST(XmlFramer, BlanksDeclarationsAndCommentsBetweenRequestsAreSkipped) {
    EXPECT_EQ(
        frame("\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<!-- a - b -->\r<A/>\n\n \t<?xml version='1.0'?>\n<B/>\r\n"),
        (Items{"<A/>", "<B/>"}));
}

TEST(XmlFramer, MarkupInsideOfTextIsNoMarkup) {
    const std::string document =
        "<R><!-- </R> --><A b=\"/R>\"><![CDATA[</R> ]] ]> <B>]]></A><?p </R> ?>?<C>&lt;/R&gt; ] ]]</C></R>";
    EXPECT_EQ(frame(document), Items{document});
    EXPECT_EQ(frame_byte_by_byte(document), Items{document});
}

TEST(XmlFramer, BareAmpersandsAndUnknownEntitiesAreText) {
    const std::string document = "<R><G a='&'>Sales & Marketing &nbsp; &#65; &#x41; &#; &#x; &&amp;</G></R>";
    EXPECT_EQ(frame(document), Items{document});
}

TEST(XmlFramer, BrokenAsSoonAsItCannotBecomeWellFormed) {
    // Each is broken by its last byte, not before.
    for (const std::string_view bytes :
         {"h",           "<1",       "<R><A></B", "<R><A></A x", "<R a>",       "<R a=b",
          "<R a b",      "<R a='<",  "<R a='1'b", "<R><>",       "< ",          "</",
          "<!D",         "<R><!D",   "<![",       "<R><![CDAT[", "<!-x",        "<!-- --x",
          "<R>]]>",      "<R/ ",     "<R=",       "<R><?1",      "<?>",         "<R>\x01",
          "<R a='\x02",  "<R>&#0;",  "<R>&#x1F;", "<R>&#xFFFE;", "<R>&#55296;", "<R>&#99999999999999999999;",
          "<R a='&#11;", "<R><?xml "}) {
        EXPECT_EQ(frame(bytes), Items{"BROKEN"}) << bytes;
        EXPECT_EQ(frame_byte_by_byte(bytes), Items{"BROKEN"}) << bytes;
        EXPECT_EQ(frame(bytes.substr(0, bytes.size() - 1)), Items{}) << bytes;
    }
    using namespace std::string_view_literals;
    EXPECT_EQ(frame("<R>\0"sv), Items{"BROKEN"});
}

TEST(XmlFramer, OnlyUtf8OfXmlCharactersPasses) {
    for (const std::string_view good : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x93\x9e", "\xee\x80\x80", "\x7f"}) {
        const std::string document = "<R\xc3\xa9><A>" + std::string(good) + "</A></R\xc3\xa9>";
        EXPECT_EQ(frame(document), Items{document});
        EXPECT_EQ(frame_byte_by_byte(document), Items{document});
    }
    for (const std::string_view bad : {"\x80", "\xc0\xaf", "\xc3(", "\xe0\x80\x80", "\xed\xa0\x80", "\xef\xbf\xbe",
                                       "\xef\xbf\xbf", "\xf4\x90\x80\x80", "\xf8", "\xff", "\xe2\x82<"}) {
        EXPECT_EQ(frame("<R><A>" + std::string(bad) + "</A></R>"), Items{"BROKEN"}) << testing::PrintToString(bad);
    }
}

TEST(XmlFramer, AfterBrokenInputGoesOnAtTheNextLineThatStartsARequest) {
    const std::string good = "<REQUEST><TYPE>TEST</TYPE></REQUEST>";
    EXPECT_EQ(frame("garbage\r\n" + good), (Items{"BROKEN", good}));
    EXPECT_EQ(frame("garbage " + good + "\n" + good), (Items{"BROKEN", good}));
    EXPECT_EQ(frame("garbage\rmore < garbage\r\n\r\n  <?xml version='1.0'?>" + good), (Items{"BROKEN", good}));
    EXPECT_EQ(frame("garbage\n<callstart/>"), (Items{"BROKEN", "<callstart/>"}));
    EXPECT_EQ(frame("garbage\n<NOSUCHTYPE/>"), (Items{"BROKEN", "<NOSUCHTYPE/>"}));
    EXPECT_EQ(frame("garbage\n</REQUEST>\n" + good), (Items{"BROKEN", good}));
}

// The rest of a broken request has lines that start elements; they are no requests and get no answers.
TEST(XmlFramer, RestOfABrokenRequestIsDroppedWhole) {
    const std::string good = "<REQUEST><TYPE>TEST</TYPE></REQUEST>";
    const std::string broken =
        "<REQUEST>\r\n<TYPE>TEST</TYPX>\r\n<REQUESTID>1</REQUESTID>\r\n<EMAIL>a</EMAIL>\r\n</REQUEST>\r\n";
    EXPECT_EQ(frame(broken + good), (Items{"BROKEN", good}));
    EXPECT_EQ(frame(broken + broken + good), (Items{"BROKEN", "BROKEN", good}));
    EXPECT_EQ(frame(broken + "<OTHER/>"), (Items{"BROKEN", "<OTHER/>"}));
    EXPECT_EQ(frame_byte_by_byte(broken + good), (Items{"BROKEN", good}));
}

TEST(XmlFramer, RequestThatBreaksAnUnfinishedOneIsServed) {
    const std::string good = "<REQUEST><TYPE>TEST</TYPE></REQUEST>";
    EXPECT_EQ(frame("<REQUEST><TYPE a=\"\r\n" + good), (Items{"BROKEN", good}));
    EXPECT_EQ(frame("<REQUEST><TYPE\r\n  " + good), (Items{"BROKEN", good}));
    EXPECT_EQ(frame("<REQUEST><TYPE>TEST\r\n<?xml version='1.0'?>\r\n" + good), (Items{"BROKEN", good}));
}

TEST(XmlFramer, DocumentTypesAreRefusedAndNothingOfThemIsRead) {
    const std::string good = "<REQUEST><A>&x;</A></REQUEST>";
    EXPECT_EQ(frame("<!DOCTYPE r [\n<!ENTITY x \"y\">\n]>\n" + good), (Items{"BROKEN", good}));
}

TEST(XmlFramer, MessageOverTheLimitEndsTheStream) {
    const std::string text(64 * 1024 - 9, 'x');
    const std::string largest = "<T>" + text + "xx</T>";
    ASSERT_EQ(largest.size(), 64u * 1024);
    EXPECT_EQ(frame(largest + largest), (Items{largest, largest}));
    EXPECT_EQ(frame("<T>" + text + "xxx</T>"), Items{"TOO LARGE"});
    EXPECT_EQ(frame("<T>" + text + text), Items{"TOO LARGE"});
    EXPECT_EQ(frame("<!-- " + text + "x"), Items{});
    EXPECT_EQ(frame("<!-- " + text + text), Items{"TOO LARGE"});
    EXPECT_EQ(frame(std::string(200'000, ' ') + "<T/>"), Items{"<T/>"});
    std::string many;
    for (int i = 0; i < 10'000; ++i) many += "<?xml version='1.0'?>";
    EXPECT_EQ(frame(many + "<T/>"), Items{"<T/>"});
}

TEST(XmlFramer, DeepNestingIsBrokenNotDangerous) {
    std::string deep;
    for (int i = 0; i < 10'000; ++i) deep += "<a>";
    EXPECT_EQ(frame(deep), Items{"BROKEN"});
}

TEST(XmlFramer, KnowsAnIncompleteMessage) {
    XmlFramer framer(1000);
    EXPECT_FALSE(framer.mid_message());
    feed(framer, "  \r\n<");
    drain(framer);
    EXPECT_TRUE(framer.mid_message());
    const auto first = framer.messages_begun();
    feed(framer, "T/>\r\n");
    drain(framer);
    EXPECT_FALSE(framer.mid_message());
    feed(framer, "<T>");
    drain(framer);
    EXPECT_TRUE(framer.mid_message());
    EXPECT_NE(framer.messages_begun(), first);
    feed(framer, "<<");
    drain(framer);
    EXPECT_FALSE(framer.mid_message());
}

TEST(XmlFramer, SplitsDoNotMatter) {
    const auto seed = std::random_device{}();
    RecordProperty("seed", static_cast<int>(seed));
    std::mt19937 random(seed);
    const std::string pieces[] = {"<REQUEST><TYPE>TEST</TYPE></REQUEST>\r\n",
                                  "<?xml version='1.0'?>\n",
                                  "junk\r\n",
                                  "<REQUEST>\n<A>\xc3\xa9&#233;</B>\n</REQUEST>\n",
                                  "<A b='>'><![CDATA[]]]]></A>\r",
                                  "<!-- c -->",
                                  "<!DOCTYPE x>\n",
                                  "\xef\xbb\xbf"};
    for (int round = 0; round < 200; ++round) {
        std::string bytes;
        for (int i = 0; i < 30; ++i) bytes += pieces[random() % std::size(pieces)];
        XmlFramer framer(64u << 10);
        Items items;
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t count = std::min<std::size_t>(random() % 20, bytes.size() - at);
            feed(framer, std::string_view(bytes).substr(at, count));
            for (auto& item : drain(framer)) items.push_back(std::move(item));
            at += count;
        }
        ASSERT_EQ(items, frame(bytes)) << "seed " << seed << ": " << bytes;
    }
}

// A message that trickles in must not be read again from its start with every byte.
TEST(XmlFramer, CostIsLinearHoweverTheBytesCome) {
    XmlFramer framer(1u << 20);
    const auto start = std::chrono::steady_clock::now();
    feed(framer, "<T>");
    for (int i = 0; i < 1'000'000; ++i) {
        feed(framer, "x");
        ASSERT_EQ(framer.next().kind, Kind::kNeedMore);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace spantape::api
