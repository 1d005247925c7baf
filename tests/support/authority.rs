//! Certificate authorities of a test, and certificates by them.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// An authority whose key lives as long as the test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = called("an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// The authority's own certificate, as PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server on the loopback address.
    pub(crate) fn server(&self) -> Pair {
        self.issue(vec![SanType::IpAddress("127.0.0.1".parse().unwrap())])
    }

    /// A certificate with these names.
    pub(crate) fn issue(&self, names: Vec<SanType>) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name = called("somebody");
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// A certificate with one DNS name.
    pub(crate) fn named(&self, name: &str) -> Pair {
        self.issue(vec![SanType::DnsName(name.try_into().unwrap())])
    }
}

impl Pair {
    /// That of a server which shows this certificate and asks for none.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        let chain = vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }

    /// Serves with this certificate as long as the test lives, one connection after the other.
    pub(crate) fn serve(
        &self,
        answer: impl Fn(&mut StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<()>
        + Send
        + 'static,
    ) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = self.server_config();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                // A client that does not trust the certificate ends the handshake.
                _ = answer(&mut StreamOwned::new(connection, stream.unwrap()));
            }
        });
        address
    }
}

/// Whoever has the name of its authority is taken for one that signed itself.
fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
