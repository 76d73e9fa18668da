// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/message.h"

#include <gtest/gtest.h>

#include "capture/sip/dialogs.h"
#include "tests/capture/sip/sip_texts.h"

namespace spantape {
namespace {

using sip_test::bytes_of;
using sip_test::MessageText;

MessageText invite() {
    MessageText message{.start_line = "INVITE sip:bob@example.com:5070;user=phone SIP/2.0"};
    message.headers = {"Contact: <sip:alice@192.0.2.1:5060>", "Expires: 120", "Max-Forwards: 70"};
    message.body = sip_test::sdp("192.0.2.1", 4000);
    return message;
}

std::optional<SipMessage> parse(std::string_view text) { return parse_sip_message(bytes_of(text)); }

std::string replaced(std::string text, std::string_view what, std::string_view with) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
    return text;
}

void expect_is_the_invite(const std::optional<SipMessage>& message) {
    ASSERT_TRUE(message.has_value());
    EXPECT_TRUE(message->is_request());
    EXPECT_EQ(message->method, SipMethod::invite);
    EXPECT_EQ(message->request_user, "bob");
    EXPECT_EQ(message->call_id, "call-1@example.com");
    EXPECT_EQ(message->cseq, 1U);
    EXPECT_EQ(message->from.party.user, "alice");
    EXPECT_EQ(message->from.party.host, "example.com");
    EXPECT_EQ(message->from.tag, "a");
    EXPECT_EQ(message->to.party.user, "bob");
    EXPECT_EQ(message->to.tag, "");
    EXPECT_EQ(message->via_branch, "z9hG4bK-1");
    EXPECT_EQ(message->content_type, "application/sdp");
    EXPECT_TRUE(message->body.starts_with("v=0"));
}

TEST(SipMessage, RequestIsRead) {
    const std::string text = invite().text();
    const auto message = parse(text);
    expect_is_the_invite(message);
    EXPECT_EQ(message->from.party.display_name, "Alice");
    EXPECT_EQ(message->expires_s, 120U);
    ASSERT_EQ(message->contacts.size(), 1U);
    EXPECT_EQ(message->contacts[0].user, "alice");
    EXPECT_EQ(message->body, invite().body);
}

TEST(SipMessage, ResponseIsReadWithTheMethodItAnswers) {
    MessageText text{.start_line = "SIP/2.0 486 Busy Here"};
    text.to = "<sip:bob@example.com>;tag=b";
    const std::string bytes = text.text();
    const auto message = parse(bytes);
    ASSERT_TRUE(message.has_value());
    EXPECT_FALSE(message->is_request());
    EXPECT_EQ(message->status, 486);
    EXPECT_EQ(message->method, SipMethod::invite);
    EXPECT_EQ(message->to.tag, "b");
}

TEST(SipMessage, CompactHeaderNamesAreRead) {
    std::string text = invite().text();
    for (const auto& [full, compact] : {std::pair{"Via:", "v:"},
                                        {"From:", "f:"},
                                        {"To:", "t :"},
                                        {"Call-ID:", "i:"},
                                        {"Contact:", "m:"},
                                        {"Content-Type:", "c:"},
                                        {"Content-Length:", "l:"}})
        text = replaced(text, full, compact);
    expect_is_the_invite(parse(text));
}

TEST(SipMessage, HeaderNamesAreReadInAnyCase) {
    expect_is_the_invite(parse(replaced(replaced(invite().text(), "Call-ID", "CALL-id"), "CSeq", "cseq")));
}

TEST(SipMessage, BareLineFeedsEndLines) { expect_is_the_invite(parse(replaced(invite().text(), "\r\n", "\n"))); }

TEST(SipMessage, FoldedHeadersAreOneLine) {
    expect_is_the_invite(parse(replaced(invite().text(), ">;tag=a", ">\r\n  ;tag=a")));
}

TEST(SipMessage, JunkBeforeTheStartLineIsSkipped) {
    const std::string text = invite().text();
    expect_is_the_invite(parse("\r\n\r\n" + text));
    expect_is_the_invite(parse("    " + text));
    expect_is_the_invite(parse("some words\r\n" + text));
    expect_is_the_invite(parse(std::string("\0\0\x01\x02", 4) + text));
}

TEST(SipMessage, InvalidContentLengthDoesNotMatter) {
    for (const char* value : {"bad", "-1", "99999999999999999999", "0", "3"}) {
        const std::string text = replaced(invite().text(), "Content-Length: " + std::to_string(invite().body.size()),
                                          std::string("Content-Length: ") + value);
        const auto message = parse(text);
        expect_is_the_invite(message);
        EXPECT_EQ(message->body, invite().body) << value;
    }
}

TEST(SipMessage, NulBytesDoNotHideWhatFollows) {
    expect_is_the_invite(
        parse(replaced(invite().text(), "Max-Forwards: 70", std::string_view("Max-\0Forwards: \0", 16))));
    expect_is_the_invite(parse(replaced(invite().text(), ";tag=a\r", std::string_view(";tag=a\0\r", 8))));
}

TEST(SipMessage, OneBrokenHeaderCostsNoOther) {
    for (const auto& [good, broken] : {std::pair{"Contact: <sip:alice@192.0.2.1:5060>", "Contact: <<<>>\"\"<"},
                                       {"Expires: 120", "Expires: soon"},
                                       {"Max-Forwards: 70", "Max-Forwards 70"},
                                       {"Max-Forwards: 70", ": : :"}})
        expect_is_the_invite(parse(replaced(invite().text(), good, broken)));
}

TEST(SipMessage, WronglyQuotedDisplayNameCostsOnlyItself) {
    expect_is_the_invite(parse(replaced(invite().text(), "\"Alice\"", "\\\"Alice\\\"")));
    expect_is_the_invite(parse(replaced(invite().text(), "\"Alice\"", "\"Alice")));
}

TEST(SipMessage, TagOfABrokenFromIsStillRead) {
    const std::string text = replaced(invite().text(), "<sip:alice@example.com>;tag=a", "<sip:alice@example.com;tag=a");
    const auto message = parse(text);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->from.tag, "a");
}

TEST(SipMessage, UserIsUnescapedAndNameUnquoted) {
    MessageText text = invite();
    text.from = R"("A \"B\" C" <sip:a%20b@example.com>;tag=a)";
    const std::string bytes = text.text();
    const auto message = parse(bytes);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->from.party.user, "a b");
    EXPECT_EQ(message->from.party.display_name, "A \"B\" C");
}

TEST(SipMessage, NamesAreAlwaysValidUtf8WithoutControls) {
    MessageText text = invite();
    text.from = "\"M\xfcller \xc3\xa4\x01!\" <sip:alice@example.com>;tag=a";
    const std::string bytes = text.text();
    const auto message = parse(bytes);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->from.party.display_name, "M\xc3\xbcller \xc3\xa4!");
}

TEST(SipMessage, TelUriNumberIsTheUser) {
    MessageText text = invite();
    text.to = "<tel:+4930123;phone-context=example.com>";
    text.start_line = "INVITE tel:+4930123 SIP/2.0";
    const std::string bytes = text.text();
    const auto message = parse(bytes);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->to.party.user, "+4930123");
    EXPECT_EQ(message->request_user, "+4930123");
}

TEST(SipMessage, Ipv6HostsAreRead) {
    MessageText text = invite();
    text.from = "<sip:alice@[2001:db8::1]:5060>;tag=a";
    const std::string bytes = text.text();
    const auto message = parse(bytes);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->from.party.user, "alice");
    EXPECT_EQ(message->from.party.host, "2001:db8::1");
}

TEST(SipMessage, SeveralContactsAndTheirExpiriesAreRead) {
    MessageText text = invite();
    text.headers = {"Contact: \"a, b\" <sip:one@192.0.2.1;x=1,2>;expires=60, <sip:two@192.0.2.2>", "Contact: *"};
    const std::string bytes = text.text();
    const auto message = parse(bytes);
    ASSERT_TRUE(message.has_value());
    ASSERT_EQ(message->contacts.size(), 3U);
    EXPECT_EQ(message->contacts[0].user, "one");
    EXPECT_EQ(message->contacts[0].expires_s, 60U);
    EXPECT_EQ(message->contacts[1].user, "two");
    EXPECT_FALSE(message->contacts[1].expires_s.has_value());
    EXPECT_TRUE(message->contacts[2].all);
}

TEST(SipMessage, TopmostOfSeveralViasCounts) {
    MessageText text = invite();
    text.via = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK-top, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-below";
    text.headers = {"Via: SIP/2.0/UDP 192.0.2.0;branch=z9hG4bK-last"};
    const std::string bytes = text.text();
    ASSERT_TRUE(parse(bytes).has_value());
    EXPECT_EQ(parse(bytes)->via_branch, "z9hG4bK-top");
}

TEST(SipMessage, WhatLacksStartLineCallIdOrCseqIsNone) {
    EXPECT_FALSE(parse("").has_value());
    EXPECT_FALSE(parse("hello\r\n\r\n").has_value());
    EXPECT_FALSE(parse("INVITE sip:bob@example.com SIP/2.0\r\nFrom: <sip:a@b>\r\n\r\n").has_value());
    EXPECT_FALSE(parse("SIP/2.0 200 OK\r\nCall-ID: x\r\n\r\n").has_value());
    EXPECT_FALSE(parse("SIP/2.0 99 Low\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n").has_value());
}

TEST(SipMessage, CutAtEveryByteIsReadAsFarAsItGoes) {
    const std::string text = invite().text();
    const std::size_t call_id_end = text.find("call-1@example.com\r\n") + std::string_view("call-1@example.com").size();
    for (std::size_t length = 0; length <= text.size(); ++length) {
        const std::string cut = text.substr(0, length);  // a copy: reading past its end is noticed
        const auto message = parse(cut);
        if (length >= call_id_end) {
            EXPECT_TRUE(message.has_value() && message->method == SipMethod::invite) << length;
        }
    }
}

TEST(LooksLikeSip, KnowsMethodsAndResponses) {
    for (const char* text : {"SIP/2.0 200 OK", "INVITE sip:b@c SIP/2.0", "ACK sip:", "BYE sip:", "CANCEL sip:",
                             "OPTIONS sip:", "REGISTER sip:", "PRACK sip:", "SUBSCRIBE sip:", "NOTIFY sip:",
                             "PUBLISH sip:", "INFO sip:", "REFER sip:", "MESSAGE sip:", "UPDATE sip:", "\r\nBYE sip:"})
        EXPECT_TRUE(looks_like_sip(bytes_of(text))) << text;
}

TEST(LooksLikeSip, RefusesEverythingElse) {
    for (const std::string& text :
         {std::string(), std::string("\r\n\r\n"), std::string("\x80\x00\x00\x01", 4), std::string("INVITE"),
          std::string("INVITED sip:"), std::string("SIP/2.0"), std::string("HTTP/1.1 200 OK"), std::string("GET / "),
          std::string("invite sip:"), std::string(64, '\n')})
        EXPECT_FALSE(looks_like_sip(bytes_of(text))) << text;
}

}  // namespace
}  // namespace spantape
