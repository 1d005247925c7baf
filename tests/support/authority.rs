//! Certificate authorities of a test, and certificates by them.

#![allow(dead_code, reason = "no test file needs all of it")]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType,
};

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

/// Whoever has the name of its authority is taken for one that signed itself.
fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
