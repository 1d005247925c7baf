//! A TLS server as the web config wants it.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig, version};
use secrecy::ExposeSecret as _;

use super::clients::Clients;
use crate::config::Problem;
use crate::config::web::{Pem, PemSource, TlsConfig};

/// What keeps TLS from working.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) problems: Vec<Problem>,
    /// Nothing else but that certificate and key are not of one pair.
    pub(super) half_rotated: bool,
}

/// The server's settings, with every certificate and key read now.
pub(super) fn server_config(tls: &TlsConfig) -> Result<Arc<ServerConfig>, Trouble> {
    let mut trouble = Trouble::default();
    let provider = Arc::new(provider(tls));
    let chain = trouble.note(certificates(&tls.certificate));
    let key = trouble.note(private_key(&tls.key, &provider));
    let roots = tls
        .client_ca
        .as_ref()
        .and_then(|pem| trouble.note(roots(pem)));
    let certified = match (chain, key) {
        (Some(chain), Some(key)) => {
            let certified = CertifiedKey::new(chain, key);
            trouble.check_pair(&certified, tls);
            Some(certified)
        }
        _ => None,
    };
    let clients = trouble.note(clients(tls, roots, &provider));
    let (Some(certified), Some(clients), []) = (certified, clients, &*trouble.problems) else {
        return Err(trouble);
    };
    let versions: Vec<_> = [
        tls.tls13.then_some(&version::TLS13),
        tls.tls12.then_some(&version::TLS12),
    ]
    .into_iter()
    .flatten()
    .collect();
    let built = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions);
    let built = built.map_err(|error| {
        let text = format!("the versions, cipher suites and curves do not go together: {error}");
        tls.certificate.place.problem(text)
    });
    let Some(builder) = trouble.note(built) else {
        return Err(trouble);
    };
    let mut config = builder
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.ignore_client_order = tls.prefer_server_order;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Ring, with what the file chooses of it, in the file's order.
fn provider(tls: &TlsConfig) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    if let Some(wanted) = &tls.cipher_suites {
        let offered = std::mem::take(&mut provider.cipher_suites);
        let of_tls13 = offered.iter().filter(|suite| suite.tls13().is_some());
        let chosen = wanted
            .iter()
            .filter_map(|wanted| offered.iter().find(|suite| suite.suite() == *wanted));
        provider.cipher_suites = of_tls13.chain(chosen).copied().collect();
    }
    if let Some(wanted) = &tls.curves {
        let offered = std::mem::take(&mut provider.kx_groups);
        provider.kx_groups = wanted
            .iter()
            .filter_map(|wanted| offered.iter().find(|group| group.name() == *wanted))
            .copied()
            .collect();
    }
    provider
}

fn clients(
    tls: &TlsConfig,
    roots: Option<Arc<RootCertStore>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<Clients>, Problem> {
    let place = tls.client_ca.as_ref().map(|pem| &pem.place);
    let verifier = match (place, roots) {
        (Some(place), Some(roots)) => {
            let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
            let verifier = builder.build().map_err(|error| {
                place.problem(format!("cannot verify clients by this CA: {error}"))
            })?;
            Some(verifier)
        }
        _ => None,
    };
    Ok(Arc::new(Clients::new(
        tls.client_auth,
        verifier,
        tls.allowed_sans.clone(),
        provider.signature_verification_algorithms,
    )))
}

fn roots(pem: &Pem) -> Result<Arc<RootCertStore>, Problem> {
    let certificates = certificates(pem)?;
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        let text = format!("found no usable certificate in {}", name(pem));
        return Err(pem.place.problem(text));
    }
    Ok(Arc::new(roots))
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(pem)?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(pem.place.problem(format!(
            "found no certificate in {}, expected PEM; put at least one `BEGIN CERTIFICATE` there",
            name(pem)
        ))),
        Err(error) => Err(pem.place.problem(format!(
            "cannot decode the certificates in {}: {error}; expected PEM",
            name(pem)
        ))),
    }
}

fn private_key(
    pem: &Pem,
    provider: &CryptoProvider,
) -> Result<Arc<dyn rustls::sign::SigningKey>, Problem> {
    let bytes = read(pem)?;
    // The library's error may quote what it found.
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        let is_encrypted = memchr::memmem::find(&bytes, b"ENCRYPTED").is_some();
        let remedy = if is_encrypted {
            "it is encrypted; decrypt it with `openssl pkey`"
        } else {
            "put one `BEGIN PRIVATE KEY` there"
        };
        let name = name(pem);
        pem.place.problem(format!(
            "found no private key in {name}, expected PEM; {remedy}"
        ))
    })?;
    provider.key_provider.load_private_key(key).map_err(|_| {
        pem.place.problem(format!(
            "cannot use the private key in {}; give an RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519 key",
            name(pem)
        ))
    })
}

fn read(pem: &Pem) -> Result<Vec<u8>, Problem> {
    match &pem.source {
        PemSource::Inline(text) => Ok(text.expose_secret().as_bytes().to_vec()),
        PemSource::File(path) => std::fs::read(path).map_err(|error| {
            pem.place.problem(format!(
                "cannot read {}: {error}; check the path, the mount and its mode",
                path.display()
            ))
        }),
    }
}

fn name(pem: &Pem) -> String {
    match &pem.source {
        PemSource::File(path) => path.display().to_string(),
        PemSource::Inline(_) => "the text".to_owned(),
    }
}

// === impl Trouble ===

impl Trouble {
    fn note<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn check_pair(&mut self, certified: &CertifiedKey, tls: &TlsConfig) {
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                self.half_rotated = self.problems.is_empty();
                let text = format!(
                    "found a key that is not of the certificate in {}; give both of one pair",
                    name(&tls.certificate)
                );
                self.problems.push(tls.key.place.problem(text));
            }
            Err(error) => {
                let name = name(&tls.certificate);
                let text = format!("cannot use the certificate in {name}: {error}");
                self.problems.push(tls.certificate.place.problem(text));
            }
        }
    }
}
