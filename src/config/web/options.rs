//! Every option of the web config: what the reader accepts and what the documentation says.

use super::super::options::{self, ConfigOption, Kind, option};

const VERSIONS: Kind = Kind::Choice(&["TLS10", "TLS11", "TLS12", "TLS13"]);
const CLIENT_AUTH: Kind = Kind::Choice(&[
    "NoClientCert",
    "RequestClientCert",
    "RequireAnyClientCert",
    "RequireClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
]);
const OTHER_FORM: &str = "the same as the option above";

/// Every option, in the order of the documentation.
pub const OPTIONS: &[ConfigOption] = &[
    option(
        "tls_server_config",
        Kind::Table,
        "plain HTTP",
        "TLS; on as soon as one of the certificate, the key, the CA and the type is given.",
    ),
    option(
        "tls_server_config.cert_file",
        Kind::File,
        "required with TLS",
        "The certificate, followed by those between it and its authority.",
    ),
    option(
        "tls_server_config.cert",
        Kind::Pem,
        OTHER_FORM,
        "The same in place.",
    ),
    option(
        "tls_server_config.key_file",
        Kind::File,
        "required with TLS",
        "The certificate's private key, not encrypted.",
    ),
    option(
        "tls_server_config.key",
        Kind::Pem,
        OTHER_FORM,
        "The same in place.",
    ),
    option(
        "tls_server_config.client_auth_type",
        CLIENT_AUTH,
        "NoClientCert",
        "What is asked of clients. Only `RequireAndVerifyClientCert` keeps anybody out; `RequireClientCert` is another word for `RequireAnyClientCert`.",
    ),
    option(
        "tls_server_config.client_ca_file",
        Kind::File,
        "none; required by a type that verifies, else not allowed",
        "Certificates of the authorities that vouch for clients.",
    ),
    option(
        "tls_server_config.client_ca",
        Kind::Pem,
        OTHER_FORM,
        "The same in place.",
    ),
    option(
        "tls_server_config.client_allowed_sans",
        Kind::Names,
        "any name",
        "Names, of which a client's certificate must have one, letter by letter. Only where a certificate is required.",
    ),
    option(
        "tls_server_config.min_version",
        VERSIONS,
        "TLS12",
        "Lowest version of TLS. TLS 1.0 and 1.1 are never offered: where they are named, 1.2 is the lowest, and a warning says so.",
    ),
    option(
        "tls_server_config.max_version",
        VERSIONS,
        "TLS13",
        "Highest version of TLS, 1.2 or 1.3.",
    ),
    option(
        "tls_server_config.cipher_suites",
        Kind::List,
        "all that are offered",
        "Cipher suites of TLS 1.2 by Go's names. Offered are `TLS_ECDHE_{ECDSA,RSA}_WITH_` `AES_256_GCM_SHA384`, `AES_128_GCM_SHA256` and `CHACHA20_POLY1305_SHA256`; others of Go are warned about.",
    ),
    option(
        "tls_server_config.prefer_server_cipher_suites",
        Kind::Flag,
        "true",
        "Whether the server's order of cipher suites counts, and not the client's.",
    ),
    option(
        "tls_server_config.curve_preferences",
        Kind::List,
        "all that are offered",
        "`CurveP256`, `CurveP384`, `CurveP521`, `X25519`; `CurveP521` is not offered and warned about.",
    ),
    option(
        "http_server_config",
        Kind::Table,
        "as below",
        "How HTTP is spoken.",
    ),
    option(
        "http_server_config.http2",
        Kind::Flag,
        "true",
        "Accepted, and without effect: this exporter speaks HTTP/1.1.",
    ),
    option(
        "http_server_config.headers",
        Kind::Table,
        "none",
        "Headers of every answer; no others than these.",
    ),
    option(
        "http_server_config.headers.Content-Security-Policy",
        Kind::Header,
        "that of each page",
        "The value.",
    ),
    option(
        "http_server_config.headers.Strict-Transport-Security",
        Kind::Header,
        "none",
        "The value.",
    ),
    option(
        "http_server_config.headers.X-Content-Type-Options",
        Kind::Choice(&["nosniff"]),
        "nosniff",
        "The value.",
    ),
    option(
        "http_server_config.headers.X-Frame-Options",
        Kind::Choice(&["deny", "sameorigin"]),
        "none",
        "The value.",
    ),
    option(
        "http_server_config.headers.X-XSS-Protection",
        Kind::Header,
        "none",
        "The value.",
    ),
    option(
        "basic_auth_users",
        Kind::Users,
        "everybody may ask",
        "Who may ask. A hash comes from `htpasswd -nBC 10 USER`.",
    ),
    option(
        "rate_limit",
        Kind::Table,
        "none",
        "How many requests are answered, over all clients; others get 429.",
    ),
    option(
        "rate_limit.interval",
        Kind::Interval,
        "0",
        "Time in which one more request is granted; 0 for no limit.",
    ),
    option(
        "rate_limit.burst",
        Kind::Count(0, 1_000_000),
        "required with an interval",
        "Requests that may come at once.",
    ),
];

/// The options as a table in Markdown.
pub fn render() -> String {
    options::table(OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::super::tls;
    use super::*;

    #[test]
    fn words_are_those_of_the_reader() {
        let versions = tls::VERSIONS.map(|(word, _)| word);
        assert!(matches!(VERSIONS, Kind::Choice(words) if words == versions));
        let types = tls::CLIENT_AUTH.map(|(word, _)| word);
        assert!(matches!(CLIENT_AUTH, Kind::Choice(words) if words == types));
        let page = render();
        for (word, suite) in tls::CIPHER_SUITES {
            let end = word.rsplit_once("WITH_").map_or(word, |(_, end)| end);
            assert!(suite.is_none() || page.contains(end), "{word}");
        }
        for (word, _) in tls::CURVES {
            assert!(page.contains(word), "{word}");
        }
    }
}
