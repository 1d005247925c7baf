//! The one HTTP client and its TLS policy.
//!
//! TLS is configured here rather than left to reqwest: reqwest's own default panics without a process-wide provider,
//! and refuses to start in an image without a CA bundle even if every endpoint is plain http.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below the idle timeouts of common load balancers (60 s), so that we do not write to a connection they just closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// How to reach the cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// PEM file with the only CA certificates to trust; none = the system's, or else Mozilla's as built in.
    pub ca_file: Option<PathBuf>,
    /// Proxy for all requests. The environment's proxy variables are not looked at.
    pub proxy: Option<Url>,
}

/// A certificate to show to servers that ask for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// PEM file with the certificate and those that lead from it to its authority.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA file cannot be read, or part of it is not PEM.
    #[error("cannot read CA file {}: {reason}; give a readable PEM file", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The CA file has no certificate that can be used as a root.
    #[error("CA file {} holds no usable certificate; it needs at least one `BEGIN CERTIFICATE` block", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The client's own certificate or key cannot be used.
    #[error("cannot use the certificate {} with the key {}: {reason}; give PEM files that belong together", certificate.display(), key.display())]
    Identity {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong; never a part of the key.
        reason: String,
    },
    /// The proxy's URL is of no use.
    #[error("cannot use the proxy at {host}: {reason}; give http://HOST:PORT or https://HOST:PORT")]
    Proxy {
        /// Its host; user and password are not told.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The TLS or HTTP client refuses its settings.
    #[error("cannot build the HTTP client: {0}")]
    Client(String),
}

// === impl Options ===

impl Options {
    /// A client that follows no redirects (a redirected request would carry a signature to another host) and uses no
    /// proxy but the given one. Request timeouts are the caller's.
    pub fn client(&self) -> Result<reqwest::Client, Error> {
        self.client_to(None, None)
    }

    /// The same, which shows a certificate to servers that ask for one, and looks for the host at this address.
    pub fn client_to(
        &self,
        identity: Option<&Identity>,
        host: Option<(&str, SocketAddr)>,
    ) -> Result<reqwest::Client, Error> {
        let tls = match identity {
            Some(identity) => identity.present(self.trusting()?)?,
            None => self.tls()?,
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(15))
            .user_agent(concat!("vod-callback-exporter/", env!("CARGO_PKG_VERSION")));
        if let Some((host, address)) = host {
            builder = builder.resolve(host, address);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(parse_proxy(proxy)?);
        }
        builder
            .build()
            .map_err(|error| Error::Client(error.to_string()))
    }

    /// The TLS policy: ring, TLS 1.2 and later, and the roots of these options.
    pub fn tls(&self) -> Result<ClientConfig, Error> {
        Ok(self.trusting()?.with_no_client_auth())
    }

    fn trusting(&self) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
        let roots = match &self.ca_file {
            Some(path) => roots_from_file(path)?,
            None => default_roots(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Client(error.to_string()))?
            .with_root_certificates(roots))
    }
}

// === impl Identity ===

impl Identity {
    /// Whether certificate and key can be read and belong together.
    pub fn check(&self) -> Result<(), Error> {
        let builder = Options::default().trusting()?;
        self.present(builder).map(|_| ())
    }

    fn present(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, Error> {
        let refuse = |reason: String| Error::Identity {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            reason,
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| refuse(error.to_string()))?;
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(|error| refuse(error.to_string()))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| refuse(error.to_string()))
    }
}

fn parse_proxy(proxy: &Url) -> Result<reqwest::Proxy, Error> {
    let refuse = |reason| Error::Proxy {
        host: proxy.host_str().unwrap_or("(no host)").to_owned(),
        reason,
    };
    if !matches!(proxy.scheme(), "http" | "https") {
        return Err(refuse("its scheme is neither http nor https"));
    }
    reqwest::Proxy::all(proxy.clone()).map_err(|_| refuse("it is not a proxy URL"))
}

fn roots_from_file(path: &Path) -> Result<RootCertStore, Error> {
    let refuse = |error: rustls::pki_types::pem::Error| Error::CaFile {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(refuse)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(refuse)?;
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        return Err(Error::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(roots)
}

fn default_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (usable, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if usable == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_ca(content: &str) -> (tempfile::TempDir, Options) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        let options = Options {
            ca_file: Some(path),
            proxy: None,
        };
        (dir, options)
    }

    #[test]
    fn a_client_builds_without_a_process_wide_provider() {
        Options::default().client().unwrap();
    }

    #[test]
    fn a_ca_file_without_certificates_is_named() {
        for content in [
            "",
            "not PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let (_dir, options) = with_ca(content);
            let error = options.client().unwrap_err();
            assert!(matches!(error, Error::NoCertificate { .. }), "{error}");
            assert!(error.to_string().contains("ca.pem"), "{error}");
        }
        let (_dir, options) = with_ca("-----BEGIN CERTIFICATE-----\nAAAA\n");
        assert!(matches!(options.client(), Err(Error::CaFile { .. })));
        let missing = Options {
            ca_file: Some("/no/such/ca.pem".into()),
            proxy: None,
        };
        assert!(matches!(missing.client(), Err(Error::CaFile { .. })));
    }

    #[test]
    fn a_proxy_is_http_and_its_password_is_not_told() {
        let with = |proxy: &str| Options {
            ca_file: None,
            proxy: Some(Url::parse(proxy).unwrap()),
        };
        with("http://user:hunter2@127.0.0.1:3128").client().unwrap();
        let error = with("ftp://user:hunter2@proxy.example")
            .client()
            .unwrap_err();
        assert!(error.to_string().contains("proxy.example"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
