// SPDX-License-Identifier: AGPL-3.0-or-later
// CAV: a recording's audio and its call's fields in one file, sealed with a password or not (CAV.md documents every
// byte), written and read as a stream.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "storage/export/audio_file.h"
#include "storage/password.h"

namespace spantape {

// How a CAV file is sealed: what the key was derived with, and the key.
struct CavSeal {
    ScryptTerms terms;
    SecretKey key;

    // Takes some 100 ms and 32 MiB.
    static Result<CavSeal> of(std::string_view password);
    // For a file that nobody else may read: it holds the key. An error when it is none of ours.
    [[nodiscard]] std::string to_text() const;
    static Result<CavSeal> from_text(std::string_view text);
};

// fields: a document of XML. audio: a WAV file. Its bytes() are known where the audio's are.
[[nodiscard]] std::unique_ptr<ExportedFile> cav_file(std::string fields, std::unique_ptr<ExportedFile> audio,
                                                     const std::optional<CavSeal>& seal);

struct CavVisitor {
    std::function<Result<>(std::string_view xml)> fields;   // once, before the audio
    std::function<Result<>(std::string_view piece)> audio;  // of the WAV file, in order
};
// Fills the span as far as there is anything; gives how much.
using CavBytes = std::function<Result<std::size_t>(std::span<char>)>;
// Reads it to its end. An error says what is wrong: no CAV file, a password needed or another one, cut short, altered.
// What was visited before an error is not to be trusted.
[[nodiscard]] Result<> read_cav(const CavBytes& bytes, std::string_view password, const CavVisitor& visitor);

}  // namespace spantape
