// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/status_text.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "capture/packet/datagram.h"
#include "tools/cli/table.h"
#include "tools/cli/terminal_text.h"

namespace spantape::cli {

namespace {

// "1,234,567"; what is no number stays as it is.
std::string grouped(const std::string& text) {
    if (text.empty() || !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) return text;
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i != 0 && (text.size() - i) % 3 == 0) out += ',';
        out += text[i];
    }
    return out;
}

std::string upper_case(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return out;
}

std::string up_time(std::uint64_t s) {
    if (s >= 86400) return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
    if (s >= 3600) return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
    if (s >= 60) return fmt::format("{} min {} s", s / 60, s % 60);
    return fmt::format("{} s", s);
}

std::string bytes_text(std::uint64_t bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

// The values of a section, remembering which were shown.
class Values {
public:
    explicit Values(const api::Element& section) {
        for (const api::Element& each : section.children)
            each.children.empty() ? rest_.push_back(&each) : sections_.push_back(&each);
    }
    std::string take(std::string_view name) {
        const auto at = std::ranges::find_if(rest_, [&](const auto* each) { return each->name == name; });
        if (at == rest_.end()) return "";
        const std::string text = (*at)->text;
        rest_.erase(at);
        return text;
    }
    std::uint64_t number(std::string_view name) {
        const std::string text = take(name);
        std::uint64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    }
    std::string count(std::string_view name) { return grouped(take(name)); }
    [[nodiscard]] const std::vector<const api::Element*>& rest() const { return rest_; }
    [[nodiscard]] std::vector<const api::Element*> sections(std::string_view name) const {
        std::vector<const api::Element*> found;
        std::ranges::copy_if(sections_, std::back_inserter(found),
                             [&](const auto* each) { return each->name == name; });
        return found;
    }

private:
    std::vector<const api::Element*> rest_, sections_;
};

// Reasons that occurred, the most frequent first: "duplicate 12,345, rtcp 3".
std::string drops_text(Values& values) {
    std::vector<std::pair<std::uint64_t, std::string>> drops;
    for (std::size_t reason = 1; reason < kDropReasons; ++reason) {
        const std::string name(name_of(static_cast<DropReason>(reason)));
        if (const std::uint64_t packets = values.number("DROP_" + upper_case(name)); packets != 0)
            drops.emplace_back(packets, name);
    }
    std::ranges::sort(drops, std::greater<>());
    std::string text;
    for (const auto& [packets, name] : drops)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, grouped(fmt::to_string(packets)));
    return text.empty() ? "-" : text;
}

std::string packets_table(Values& values, std::size_t width) {
    Table table({{"PACKETS", Align::left}, {"", Align::right}, {"", Align::left}});
    table.add({"taken", values.count("PACKETS"), "from all sources"});
    table.add({"stored", values.count("FRAMESSTORED"), "RTP frames of recorded streams"});
    table.add({"held", values.count("FRAMESHELD"), "RTP frames kept in case a call claims their stream"});
    table.add({"sip", values.count("SIPMESSAGES"), "handed to signalling"});
    table.add({"sip over tcp", values.count("SIPTCPSEGMENTS"), "segments handed to signalling"});
    table.add({"rtcp", values.count("RTCPREPORTS"), "reports on streams seen here"});
    table.add({"fragments", values.count("FRAGMENTSHELD"), "waiting for the rest of their datagram"});
    for (std::size_t reason = 1; reason < kDropReasons; ++reason) {
        const auto each = static_cast<DropReason>(reason);
        const std::string packets = values.count("DROP_" + upper_case(name_of(each)));
        if (!packets.empty() && packets != "0")
            table.add({std::string(name_of(each)), packets, std::string(description_of(each))});
    }
    values.take("RTPFRAMES");
    return table.text(width);
}

std::string workers_table(const Values& values, std::size_t width) {
    Table table({{"WORKER", Align::right},
                 {"BUSY", Align::right},
                 {"PACKETS/S", Align::right},
                 {"PACKETS", Align::right},
                 {"BOUND", Align::right},
                 {"LOOK-BACK", Align::right},
                 {"CLOSING", Align::right},
                 {"SLOTS", Align::right},
                 {"NOT USED", Align::left}});
    for (const api::Element* section : values.sections("WORKER")) {
        Values worker(*section);
        table.add({worker.take("NUMBER"), worker.take("BUSYPERCENT") + " %", worker.count("PACKETRATE"),
                   worker.count("PACKETS"), worker.count("STREAMSBOUND"), worker.count("STREAMSLOOKBACK"),
                   worker.count("STREAMSCLOSING"), worker.count("STREAMSLOTS"), drops_text(worker)});
    }
    return table.empty() ? "" : table.text(width);
}

std::string sources_table(const Values& values, std::size_t width) {
    std::map<std::string, std::string> unused;
    for (const api::Element* section : values.sections("SOURCEDROPS")) {
        Values source(*section);
        const std::string name = source.take("NAME");
        unused[name] = drops_text(source);
    }
    Table table({{"SOURCE", Align::left},
                 {"WORKER", Align::right},
                 {"PACKETS", Align::right},
                 {"BYTES", Align::right},
                 {"LOST: KERNEL", Align::right},
                 {"CARD", Align::right},
                 {"SPREAD", Align::right},
                 {"NOT USED", Align::left}});
    std::string errors;
    for (const api::Element* section : values.sections("SOURCE")) {
        Values source(*section);
        const std::string name = source.take("NAME");
        table.add({name, source.take("WORKER"), source.count("PACKETS"), bytes_text(source.number("BYTES")),
                   source.count("DROPPEDKERNEL"), source.count("DROPPEDCARD"), source.count("DROPPEDSPREAD"),
                   unused.contains(name) ? unused.extract(name).mapped() : ""});
        if (const std::string error = source.take("ERROR"); !error.empty()) errors += printable(error) + "\n";
    }
    for (const auto& [name, drops] : unused) table.add({name, "", "", "", "", "", "", drops});  // files read as one
    return (table.empty() ? "" : table.text(width)) + errors;
}

std::string percent(std::uint64_t permille) { return fmt::format("{}.{} %", permille / 10, permille % 10); }

std::string rest_of_it(Values& values) {
    std::string out = fmt::format("Streams     {} bound, {} look-back, {} closing, of {} slots; {} opened so far\n",
                                  values.count("STREAMSBOUND"), values.count("STREAMSLOOKBACK"),
                                  values.count("STREAMSCLOSING"), values.count("STREAMSLOTS"), values.count("STREAMS"));
    out += fmt::format("Rings       fullest {}, worst since start {}; {} of {} waiting\n",
                       percent(values.number("RINGFILLMAXPERMILLE")), percent(values.number("RINGFILLWORSTPERMILLE")),
                       bytes_text(values.number("RINGSUSEDBYTES")), bytes_text(values.number("RINGSCAPACITYBYTES")));
    out += fmt::format("Writer      {} frames in {} chunks, {} documents, {}; {} commands waiting, {} failures\n",
                       values.count("FRAMESWRITTEN"), values.count("CHUNKSWRITTEN"), values.count("DOCUMENTSWRITTEN"),
                       bytes_text(values.number("BYTESWRITTEN")), values.count("WRITERBACKLOGCOMMANDS"),
                       values.count("STORAGEFAILURES"));
    out += fmt::format(
        "Signalling  {} messages, {} duplicate, {} malformed, {} of no call; {} calls followed, {} given "
        "up; {} and {} events waiting\n",
        values.count("SIPUNDERSTOOD"), values.count("SIPDUPLICATES"), values.count("SIPMALFORMED"),
        values.count("SIPOUTOFDIALOG"), values.count("SIPCALLS"), values.count("SIPCALLSEVICTED"),
        bytes_text(values.number("SIPBACKLOGBYTES")), values.count("SIPBACKLOGEVENTS"));
    out += fmt::format("SIP on TCP  {} connections, {} gaps, {} times resynchronised, {} given up\n",
                       values.count("SIPTCPCONNECTIONS"), values.count("SIPTCPGAPS"), values.count("SIPTCPRESYNCS"),
                       values.count("SIPTCPEVICTED"));
    out += fmt::format("Decisions   half within {} us of the SIP message, 99 % within {} us\n",
                       values.count("DECISIONP50US"), values.count("DECISIONP99US"));
    out += fmt::format("Calls       {} active, {} of {} channels in use, {} recordings completed, {} devices\n",
                       values.count("CALLSACTIVE"), values.count("CHANNELSINUSE"), values.count("CHANNELS"),
                       values.count("RECORDINGSCOMPLETED"), values.count("DEVICES"));
    out += fmt::format(
        "Archive     {} archived, {} of them moved, {} waiting, {} expired; {} failures, {} targets failing\n",
        values.count("ARCHIVED"), values.count("ARCHIVEMOVED"), values.count("ARCHIVEWAITING"),
        values.count("ARCHIVEEXPIRED"), values.count("ARCHIVEFAILURES"), values.count("ARCHIVEFAILINGTARGETS"));
    out +=
        fmt::format("API         {} clients, {} subscribers, {} requests ({} broken), {} refused, {} events, {} cut\n",
                    values.count("APICLIENTS"), values.count("APISUBSCRIBERS"), values.count("APIREQUESTS"),
                    values.count("APIBROKENREQUESTS"), values.count("APIREFUSED"), values.count("APIEVENTS"),
                    values.count("APISUBSCRIBERSCUT"));
    return out;
}

}  // namespace

std::string status_text(const api::Element& status, std::size_t width) {
    Values values(status);
    for (const char* head : {"REQUESTTYPE", "REQUESTID", "RESULTTYPE", "RESULTCODE", "RESULTMSG"}) values.take(head);
    std::string out = fmt::format("Spantape {}, up {}, workers: {}\n\n", values.take("VERSION"),
                                  up_time(values.number("UPTIMESECONDS")), values.take("WORKERS"));
    for (const api::Element* section : values.sections("PROBLEM")) {
        Values problem(*section);
        out += fmt::format("PROBLEM     {}, since {}: {}\n", printable(problem.take("NAME")),
                           printable(problem.take("SINCE")), printable(problem.take("MESSAGE")));
    }
    if (!values.sections("PROBLEM").empty()) out += '\n';
    out += packets_table(values, width) + '\n';
    for (const std::string& table : {workers_table(values, width), sources_table(values, width)})
        if (!table.empty()) out += table + '\n';
    out += rest_of_it(values);
    for (const api::Element* each : values.rest())
        if (!each->name.starts_with("DROP_"))
            out += fmt::format("{:<11} {}\n", printable(each->name), printable(each->text));
    return out;
}

}  // namespace spantape::cli
