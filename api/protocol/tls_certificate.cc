// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/tls_certificate.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

namespace spantape::api {
namespace {

template <auto Free>
struct Freer {
    template <class T>
    void operator()(T* thing) const {
        Free(thing);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;

constexpr long kValidSeconds = 3650L * 24 * 3600;
constexpr long kBackdatedSeconds = 24L * 3600;  // for clients whose clock is behind

std::string host_name() {
    char name[256] = {};
    if (gethostname(name, sizeof name - 1) != 0) return "localhost";
    const std::string text = name;
    const bool plain =
        !text.empty() && text.size() <= 64 &&  // X.520's upper bound for a common name
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == std::string::npos;
    return plain ? text : "localhost";
}

bool add_extension(X509* certificate, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
    std::uint64_t serial = 0;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return false;
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1;
}

bool set_names(X509* certificate, const std::string& host) {
    X509_NAME* name = X509_get_subject_name(certificate);
    const auto* bytes = reinterpret_cast<const unsigned char*>(host.c_str());
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, bytes, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1;
}

Certificate make_certificate(EVP_PKEY* key) {
    const std::string host = host_name();
    Certificate certificate(X509_new());
    X509* x509 = certificate.get();
    const bool made =
        x509 != nullptr && X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
        X509_gmtime_adj(X509_getm_notBefore(x509), -kBackdatedSeconds) != nullptr &&
        X509_gmtime_adj(X509_getm_notAfter(x509), kValidSeconds) != nullptr && X509_set_pubkey(x509, key) == 1 &&
        set_names(x509, host) &&
        add_extension(x509, NID_subject_alt_name,
                      "DNS:localhost,IP:127.0.0.1,IP:::1" + (host == "localhost" ? "" : ",DNS:" + host)) &&
        add_extension(x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_extension(x509, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
        add_extension(x509, NID_ext_key_usage, "serverAuth") && X509_sign(x509, key, EVP_sha256()) > 0;
    return made ? std::move(certificate) : nullptr;
}

std::string text_of(BIO* bio) {
    char* bytes = nullptr;
    const long count = BIO_get_mem_data(bio, &bytes);
    return {bytes, static_cast<std::size_t>(count)};
}

Result<> write_new_file(const std::string& path, const std::string& text, mode_t mode) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return fail("{}: {}", path, std::strerror(errno));
    const auto written = write(fd, text.data(), text.size());
    const bool whole = written == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
    const int error = errno;
    ::close(fd);
    if (whole) return {};
    unlink(path.c_str());
    return fail("{}: not written: {}", path, std::strerror(error));
}

Result<> make_files(const std::string& certificate_file, const std::string& key_file) {
    const Key key(EVP_EC_gen("P-256"));
    if (!key) return fail("{}: OpenSSL cannot make a P-256 key", key_file);
    const Certificate certificate = make_certificate(key.get());
    const Bio key_text(BIO_new(BIO_s_mem()));
    const Bio certificate_text(BIO_new(BIO_s_mem()));
    if (!certificate ||
        PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
        PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1) {
        return fail("{}: OpenSSL cannot make a certificate", certificate_file);
    }
    if (auto written = write_new_file(key_file, text_of(key_text.get()), 0600); !written) return written;
    auto written = write_new_file(certificate_file, text_of(certificate_text.get()), 0644);
    if (!written) unlink(key_file.c_str());  // one without the other would not be repaired at the next start
    return written;
}

}  // namespace

Result<> ensure_certificate(const std::string& certificate_file, const std::string& key_file) {
    std::error_code error;
    const bool have_certificate = std::filesystem::exists(certificate_file, error);
    const bool have_key = std::filesystem::exists(key_file, error);
    if (have_certificate && have_key) return {};
    if (have_certificate) return fail("{}: there, but its key {} is not", certificate_file, key_file);
    if (have_key) return fail("{}: there, but its certificate {} is not", key_file, certificate_file);
    auto made = make_files(certificate_file, key_file);
    ERR_clear_error();
    return made;
}

}  // namespace spantape::api
