//! `tls_server_config`: what of it our TLS library can do, and what is said about the rest.

use std::path::{Path, PathBuf};

use rustls::{CipherSuite, NamedGroup};
use secrecy::{ExposeSecret as _, SecretString};

use super::super::node::Value;
use super::super::problem::{Place, Problem};
use super::super::table::{Field, Table, unexpected};
use super::absolute;

/// TLS as the file wants it.
#[derive(Debug)]
pub struct TlsConfig {
    /// The certificate and those between it and its authority.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Who vouches for clients; there whenever they are verified.
    pub client_ca: Option<Pem>,
    /// Names, one of which a client's certificate must have; none if any will do.
    pub allowed_sans: Option<Vec<String>>,
    /// Whether TLS 1.2 is offered; it or TLS 1.3 is.
    pub tls12: bool,
    /// Whether TLS 1.3 is offered.
    pub tls13: bool,
    /// The cipher suites of TLS 1.2 in order of preference; none for the library's.
    pub cipher_suites: Option<Vec<CipherSuite>>,
    /// The key exchange groups in order of preference; none for the library's.
    pub curves: Option<Vec<NamedGroup>>,
    /// Whether the server's order of cipher suites counts, and not the client's.
    pub prefer_server_order: bool,
}

/// PEM, and where the file speaks of it.
#[derive(Clone, Debug)]
pub struct Pem {
    /// Where it is named or stands.
    pub place: Place,
    /// Where it is.
    pub source: PemSource,
}

/// Where PEM is.
#[derive(Clone, Debug)]
pub enum PemSource {
    /// In a file.
    File(PathBuf),
    /// In the web config itself.
    Inline(SecretString),
}

/// What is asked of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    None,
    /// A certificate, which may be missing and is not verified.
    Request,
    /// A certificate, which is not verified.
    RequireAny,
    /// A certificate, which may be missing and else must be good.
    VerifyIfGiven,
    /// A good certificate: the only one that tells clients apart.
    RequireAndVerify,
}

const TLS10: u8 = 10;
const TLS11: u8 = 11;
const TLS12: u8 = 12;
const TLS13: u8 = 13;

/// Words of `min_version` and `max_version`.
pub(super) const VERSIONS: [(&str, u8); 4] = [
    ("TLS10", TLS10),
    ("TLS11", TLS11),
    ("TLS12", TLS12),
    ("TLS13", TLS13),
];

/// Words of `client_auth_type`.
pub(super) const CLIENT_AUTH: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::None),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    ("RequireClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
];

/// Words of `cipher_suites`: Go's names, and the suite where we can offer it for TLS 1.2.
pub(super) const CIPHER_SUITES: [(&str, Option<CipherSuite>); 17] = [
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", None),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", None),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_AES_256_GCM_SHA384", None),
    ("TLS_AES_128_GCM_SHA256", None),
    ("TLS_CHACHA20_POLY1305_SHA256", None),
];

/// Suites of TLS 1.3, which are always offered with it.
const SUITES_OF_TLS13: [&str; 3] = [
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// Words of `curve_preferences`.
pub(super) const CURVES: [(&str, Option<NamedGroup>); 4] = [
    ("CurveP256", Some(NamedGroup::secp256r1)),
    ("CurveP384", Some(NamedGroup::secp384r1)),
    ("CurveP521", None),
    ("X25519", Some(NamedGroup::X25519)),
];

/// A listed word, and what it stands for if we can offer that.
type Listed<T> = (Place, &'static str, Option<T>);

/// Reads the section; none if it does not ask for TLS or is wrong.
pub(super) fn read(
    table: &mut Table<'_>,
    directory: &Path,
    warnings: &mut Vec<Problem>,
) -> Option<TlsConfig> {
    let certificate = pem(table, "cert", directory);
    let key = pem(table, "key", directory);
    let client_ca = pem(table, "client_ca", directory);
    let client_auth = table.choice("client_auth_type", &CLIENT_AUTH);
    let sans = sans(table);
    let suites = listed(table, "cipher_suites", &CIPHER_SUITES);
    let curves = listed(table, "curve_preferences", &CURVES);
    let min = table.choice("min_version", &VERSIONS);
    let max = table.choice("max_version", &VERSIONS);
    let prefer = table.flag("prefer_server_cipher_suites");
    let is_asked_for = [
        matches!(certificate, Field::Absent),
        matches!(key, Field::Absent),
        matches!(client_ca, Field::Absent),
        matches!(client_auth, Field::Absent),
    ]
    .contains(&false);
    if !is_asked_for {
        let places = [sans.place(), min.place(), max.place(), prefer.place()];
        let lists = [suites.place(), curves.place()];
        for place in places.into_iter().chain(lists).flatten() {
            warnings.push(place.problem("has no effect without `cert_file` and `key_file`"));
        }
        return None;
    }
    for (name, missing) in [
        ("cert", matches!(certificate, Field::Absent)),
        ("key", matches!(key, Field::Absent)),
    ] {
        if missing {
            let text = format!("found no {name}; add `{name}_file` with the path of a PEM file");
            table.problems.push(table.place.problem(text));
        }
    }
    check_clients(table, &client_auth, &client_ca, &sans);
    let (tls12, tls13) = versions(table, &min, &max, warnings);
    let cipher_suites = cipher_suites(table, suites, tls13, warnings);
    let curves = usable_curves(table, curves, warnings);
    Some(TlsConfig {
        certificate: certificate.value()?,
        key: key.value()?,
        client_auth: client_auth.value().unwrap_or(ClientAuth::None),
        client_ca: client_ca.value(),
        allowed_sans: sans.value(),
        // A suite of TLS 1.2 that nobody may use is no TLS 1.2.
        tls12: tls12
            && cipher_suites
                .as_ref()
                .is_none_or(|suites| !suites.is_empty()),
        tls13,
        cipher_suites,
        curves,
        prefer_server_order: prefer.value().unwrap_or(true),
    })
}

/// PEM in a file (`KEY_file`) or in place (`KEY`), never both.
fn pem(table: &mut Table<'_>, key: &str, directory: &Path) -> Field<Pem> {
    let file = table.text(&format!("{key}_file"));
    let inline = table.field(key, |_, value, kind| match value {
        Value::Text(text) => Ok(SecretString::from(text)),
        _ => Err(format!("found a value (not shown), expected {kind}")),
    });
    match (file, inline) {
        (Field::Given(..), Field::Given(place, _)) => {
            let text = format!("found `{key}_file` too, expected one of the two; remove one");
            table.problems.push(place.problem(text));
            Field::Invalid
        }
        (Field::Given(place, path), _) => {
            let source = PemSource::File(absolute(directory, &path));
            Field::Given(place.clone(), Pem { place, source })
        }
        (_, Field::Given(place, text)) => {
            let source = PemSource::Inline(text);
            Field::Given(place.clone(), Pem { place, source })
        }
        (Field::Absent, Field::Absent) => Field::Absent,
        _ => Field::Invalid,
    }
}

fn sans(table: &mut Table<'_>) -> Field<Vec<String>> {
    table.field("client_allowed_sans", |_, value, kind| match value {
        Value::List(items) if !items.is_empty() => items
            .into_iter()
            .map(|item| match item.value {
                Value::Text(text) => Ok(text),
                other => Err(unexpected(&other, kind)),
            })
            .collect(),
        Value::List(_) => Err(format!(
            "found an empty list, by which nobody could connect, expected {kind}; add a name or remove the key"
        )),
        other => Err(unexpected(&other, kind)),
    })
}

/// A list of words; each wrong one is a problem of its own.
fn listed<T: Copy>(
    table: &mut Table<'_>,
    key: &str,
    words: &[(&'static str, Option<T>)],
) -> Field<Vec<Listed<T>>> {
    let items = table.list(key);
    let Field::Given(place, items) = items else {
        return match items {
            Field::Absent => Field::Absent,
            _ => Field::Invalid,
        };
    };
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let mut list = Vec::new();
    let mut is_good = true;
    for (place, node) in items {
        let found = words
            .iter()
            .find(|(word, _)| matches!(&node.value, Value::Text(text) if text == word));
        let Some((word, meant)) = found else {
            is_good = false;
            let text = format!(
                "found {}, expected one of {}",
                node.value.describe(),
                known.join(", ")
            );
            table.problems.push(place.problem(text));
            continue;
        };
        list.push((place, *word, *meant));
    }
    match (is_good, list.is_empty()) {
        (false, _) => Field::Invalid,
        (true, true) => Field::Absent,
        (true, false) => Field::Given(place, list),
    }
}

fn check_clients(
    table: &mut Table<'_>,
    client_auth: &Field<ClientAuth>,
    client_ca: &Field<Pem>,
    sans: &Field<Vec<String>>,
) {
    let auth = match client_auth {
        Field::Given(_, auth) => *auth,
        Field::Absent => ClientAuth::None,
        Field::Invalid => return,
    };
    let place = client_auth.place().unwrap_or(&table.place).clone();
    match (auth.verifies(), client_ca) {
        (true, Field::Absent) => table.problems.push(place.problem(
            "found no `client_ca_file`, so that no client certificate could be verified; add it",
        )),
        (false, Field::Given(place, _)) => table.problems.push(place.problem(
            "found a CA by which no client is verified; set `client_auth_type: RequireAndVerifyClientCert`",
        )),
        _ => {}
    }
    if let (false, Field::Given(place, _)) = (auth.is_mandatory(), sans) {
        table.problems.push(place.problem(
            "found names while clients need no certificate; set `client_auth_type: RequireAndVerifyClientCert`",
        ));
    }
}

/// Whether TLS 1.2 and 1.3 are offered.
fn versions(
    table: &mut Table<'_>,
    min: &Field<u8>,
    max: &Field<u8>,
    warnings: &mut Vec<Problem>,
) -> (bool, bool) {
    let bound = |field: &Field<u8>, absent| match field {
        Field::Given(_, version) => *version,
        _ => absent,
    };
    let (lowest, highest) = (bound(min, TLS12), bound(max, TLS13));
    if let (Field::Given(place, _), true) = (max, highest < TLS12) {
        let text =
            "found a version below TLS 1.2, which this exporter does not offer; remove the key";
        table.problems.push(place.problem(text));
    } else if let (Field::Given(place, _), true) = (min, lowest > highest) {
        let text = "found a version above `max_version`, so that none is left; lower it";
        table.problems.push(place.problem(text));
    } else if let (Field::Given(place, _), true) = (min, lowest < TLS12) {
        let text = "TLS 1.0 and 1.1 are not offered by this exporter: clients need TLS 1.2";
        warnings.push(place.problem(text));
    }
    (lowest <= TLS12 && highest >= TLS12, highest >= TLS13)
}

/// The suites of TLS 1.2, if the file chooses.
fn cipher_suites(
    table: &mut Table<'_>,
    suites: Field<Vec<Listed<CipherSuite>>>,
    tls13: bool,
    warnings: &mut Vec<Problem>,
) -> Option<Vec<CipherSuite>> {
    let Field::Given(place, suites) = suites else {
        return None;
    };
    for (place, word, _) in suites
        .iter()
        .filter(|(_, word, suite)| suite.is_none() && !SUITES_OF_TLS13.contains(word))
    {
        let text =
            format!("{word} is not offered by this exporter: it has no forward secrecy or no AEAD");
        warnings.push(place.problem(text));
    }
    let usable: Vec<CipherSuite> = suites.iter().filter_map(|(.., suite)| *suite).collect();
    if usable.is_empty() && tls13 {
        warnings
            .push(place.problem("names no cipher suite that TLS 1.2 could use here: TLS 1.3 only"));
    } else if usable.is_empty() {
        table.problems.push(place.problem(
            "found no cipher suite that this exporter offers for TLS 1.2; add TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 \
             or TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ));
    }
    Some(usable)
}

fn usable_curves(
    table: &mut Table<'_>,
    curves: Field<Vec<Listed<NamedGroup>>>,
    warnings: &mut Vec<Problem>,
) -> Option<Vec<NamedGroup>> {
    let Field::Given(place, curves) = curves else {
        return None;
    };
    let usable: Vec<NamedGroup> = curves.iter().filter_map(|(.., curve)| *curve).collect();
    if usable.is_empty() {
        let text = "found no curve that this exporter offers; add X25519 or CurveP256";
        table.problems.push(place.problem(text));
    }
    for (place, word, _) in curves.iter().filter(|(.., curve)| curve.is_none()) {
        warnings.push(place.problem(format!("{word} is not offered by this exporter")));
    }
    Some(usable)
}

// === impl TlsConfig ===

impl TlsConfig {
    /// Whether both ask for the same, wherever it stands. What is in files is not looked at.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same_ca = match (&self.client_ca, &other.client_ca) {
            (Some(ca), Some(others)) => ca.source.is_same(&others.source),
            (None, None) => true,
            _ => false,
        };
        is_same_ca
            && self.certificate.source.is_same(&other.certificate.source)
            && self.key.source.is_same(&other.key.source)
            && self.client_auth == other.client_auth
            && self.allowed_sans == other.allowed_sans
            && (self.tls12, self.tls13) == (other.tls12, other.tls13)
            && self.cipher_suites == other.cipher_suites
            && self.curves == other.curves
            && self.prefer_server_order == other.prefer_server_order
    }
}

// === impl PemSource ===

impl PemSource {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(path), Self::File(others)) => path == others,
            (Self::Inline(text), Self::Inline(others)) => {
                text.expose_secret() == others.expose_secret()
            }
            _ => false,
        }
    }
}

// === impl ClientAuth ===

impl ClientAuth {
    /// Whether a certificate that is given must be good.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether a client without a certificate is refused.
    pub const fn is_mandatory(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }
}
