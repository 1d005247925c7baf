//! The address of an MNS and what its host tells.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// An MNS endpoint: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(Url);

/// Why a text is no endpoint; tells what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute URL, or of another scheme.
    #[error("an http or https URL such as `https://1234.mns.cn-shanghai.aliyuncs.com`")]
    NotHttp,
    /// User name or password, which requests are not made with.
    #[error("a URL without user name and password; name the AccessKey under `accounts`")]
    Credentials,
    /// Something after the host.
    #[error("a URL that ends after host and port; give the queue's name as `name`")]
    Path,
}

// === impl Endpoint ===

impl Endpoint {
    /// Parses the URL as shown by the MNS console.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(EndpointError::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Path);
        }
        Ok(Self(url))
    }

    /// The normalised URL without trailing slash: lower-case host, no default port.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The account id, the first label of `{account}.mns.{region}.aliyuncs.com`; none for another host.
    pub fn account(&self) -> Option<&str> {
        let (first, rest) = self.0.host_str()?.split_once('.')?;
        let digits = first.bytes().all(|byte| byte.is_ascii_digit());
        (digits && rest.starts_with("mns.")).then_some(first)
    }

    /// The region, the third label of the host without its network suffix; none for another host.
    pub fn region(&self) -> Option<&str> {
        let label = self.region_label()?;
        ["-internal-vpc", "-internal", "-vpc"]
            .iter()
            .find_map(|suffix| label.strip_suffix(suffix))
            .or(Some(label))
    }

    /// Whether requests go in clear text over a network that is neither this machine nor Alibaba's inner one.
    pub fn is_exposed(&self) -> bool {
        let inner = self
            .region_label()
            .is_some_and(|label| label.ends_with("-internal") || label.ends_with("-vpc"));
        let here = match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => Ipv4Addr::is_loopback(&ip),
            Some(Host::Ipv6(ip)) => Ipv6Addr::is_loopback(&ip),
            None => false,
        };
        self.0.scheme() == "http" && !inner && !here
    }

    fn region_label(&self) -> Option<&str> {
        let mut labels = self.0.host_str()?.split('.');
        let mns = labels.nth(1) == Some("mns");
        let region = labels.next()?;
        (mns && labels.eq(["aliyuncs", "com"])).then_some(region)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    #[test]
    fn a_vendor_host_tells_account_and_region() {
        for (text, region) in [
            ("https://1234.mns.cn-shanghai.aliyuncs.com", "cn-shanghai"),
            (
                "http://1234.mns.cn-shanghai-internal.aliyuncs.com/",
                "cn-shanghai",
            ),
            (
                "http://1234.MNS.cn-beijing-internal-vpc.aliyuncs.com",
                "cn-beijing",
            ),
            (
                "http://1234.mns.ap-southeast-1-vpc.aliyuncs.com:80",
                "ap-southeast-1",
            ),
        ] {
            let endpoint = endpoint(text);
            assert_eq!(endpoint.region(), Some(region), "{text}");
            assert_eq!(endpoint.account(), Some("1234"), "{text}");
            assert!(!endpoint.is_exposed(), "{text}");
        }
    }

    #[test]
    fn another_host_tells_nothing() {
        for text in [
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "https://mns.example.com",
        ] {
            let endpoint = endpoint(text);
            assert_eq!(
                (endpoint.account(), endpoint.region()),
                (None, None),
                "{text}"
            );
            assert!(!endpoint.is_exposed(), "{text}");
        }
    }

    #[test]
    fn clear_text_over_a_public_network_is_exposed() {
        assert!(endpoint("http://1234.mns.cn-shanghai.aliyuncs.com").is_exposed());
        assert!(endpoint("http://mns.example.com").is_exposed());
        assert!(endpoint("http://1.mns.x-internal.evil.example").is_exposed());
    }

    #[test]
    fn equal_endpoints_have_one_text() {
        for text in ["http://MNS.example.com:80/", "http://mns.example.com"] {
            assert_eq!(endpoint(text).as_str(), "http://mns.example.com");
        }
    }

    #[test]
    fn what_is_no_endpoint_says_why() {
        for (text, error) in [
            ("mns.example.com", EndpointError::NotHttp),
            ("ftp://mns.example.com", EndpointError::NotHttp),
            ("", EndpointError::NotHttp),
            (
                "http://id:secret@mns.example.com",
                EndpointError::Credentials,
            ),
            ("http://mns.example.com/queues/q", EndpointError::Path),
            ("http://mns.example.com/?a", EndpointError::Path),
        ] {
            assert_eq!(Endpoint::parse(text), Err(error), "{text}");
        }
    }
}
