//! Whom a probe trusts, and what it shows.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::Args;
use crate::aliyun::transport;

/// Takes any certificate whose key the server has.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

/// A client as the flags want it.
pub(super) fn client(args: &Args) -> anyhow::Result<reqwest::Client> {
    let options = transport::Options {
        ca_file: args.ca_file.clone(),
        ..transport::Options::default()
    };
    let mut tls = options.tls()?;
    if args.insecure {
        let algorithms = tls.crypto_provider().signature_verification_algorithms;
        tls.dangerous()
            .set_certificate_verifier(Arc::new(Unverified(algorithms)));
    }
    if let (Some(certificate), Some(key)) = (&args.cert_file, &args.key_file) {
        let shown = certified(certificate, key, tls.crypto_provider())?;
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown));
    }
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .http1_only()
        .user_agent(concat!("vod-callback-exporter/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot build the HTTP client")
}

fn certified(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificate in {}", certificate.display()))?;
    // The library's error may quote what it found.
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|_| {
        anyhow::anyhow!(
            "cannot read a private key in {}; check the path, and that it is PEM",
            key.display()
        )
    })?;
    CertifiedKey::from_der(chain, key_der, provider).with_context(|| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("cannot use the certificate in {certificate} with the key in {key}")
    })
}

// === impl Unverified ===

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
