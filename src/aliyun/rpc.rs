//! Requests of RPC style, which VOD and STS take: `POST /` with the parameters in the query, signed with
//! [`acs3`].

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue,
};
use secrecy::ExposeSecret as _;
use url::Url;

use super::credentials::Credentials;
use super::sign::{self, acs3, percent_encode};
use crate::clock::UnixMillis;

/// What is asked of whom.
pub(crate) struct Call<'a> {
    /// The API; a path is ignored.
    pub(crate) endpoint: &'a Url,
    pub(crate) action: &'static str,
    pub(crate) version: &'static str,
    /// Not encoded yet.
    pub(crate) parameters: &'a [(&'static str, String)],
}

/// A value that no header can carry.
#[derive(Debug)]
pub(crate) struct Unsendable;

/// The endpoint's host, with its port where it names one.
pub(crate) fn host_of(endpoint: &Url) -> String {
    match (endpoint.host_str(), endpoint.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

/// `yyyy-MM-ddTHH:mm:ssZ`, the form of instants in requests.
pub(crate) fn utc_seconds(at: UnixMillis) -> String {
    UnixMillis(at.0 - at.0.rem_euclid(1_000)).to_string()
}

/// Parameters as a query, or as the body of a form.
pub(crate) fn encoded(parameters: &[(&'static str, String)]) -> String {
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encode(value, false)))
        .collect();
    pairs.join("&")
}

/// `endpoint` with this query and no path.
pub(crate) fn url_with(endpoint: &Url, query: &str) -> Url {
    let mut url = endpoint.clone();
    url.set_path("/");
    url.set_query((!query.is_empty()).then_some(query));
    url.set_fragment(None);
    url
}

/// A header value; `sensitive` keeps it out of logs.
pub(crate) fn header_value(value: &str, sensitive: bool) -> Result<HeaderValue, Unsendable> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Unsendable)?;
    value.set_sensitive(sensitive);
    Ok(value)
}

// === impl Call ===

impl Call<'_> {
    /// The request, signed; `nonce` is never used twice.
    pub(crate) fn signed(
        &self,
        http: &reqwest::Client,
        credentials: &Credentials,
        now: UnixMillis,
        nonce: &str,
    ) -> Result<reqwest::RequestBuilder, Unsendable> {
        let (host, query) = (host_of(self.endpoint), encoded(self.parameters));
        let (hash, date) = (acs3::payload_hash(b""), utc_seconds(now));
        let token = credentials.security_token.as_ref();
        let mut headers = vec![
            ("host", host.as_str()),
            ("x-acs-action", self.action),
            ("x-acs-content-sha256", &hash),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", nonce),
            ("x-acs-version", self.version),
        ];
        headers.extend(token.map(|token| ("x-acs-security-token", token.expose_secret())));
        let target = match query.as_str() {
            "" => "/".to_owned(),
            query => format!("/?{query}"),
        };
        let request = sign::Request {
            method: "POST",
            target: &target,
            headers: &headers,
        };
        let authorization = acs3::authorization(
            &request,
            &hash,
            &credentials.access_key_id,
            credentials.access_key_secret.expose_secret(),
        );

        let mut map = HeaderMap::with_capacity(headers.len() + 3);
        for (name, value) in headers {
            let value = header_value(value, name == "x-acs-security-token")?;
            map.insert(HeaderName::from_static(name), value);
        }
        map.insert(AUTHORIZATION, header_value(&authorization, true)?);
        map.insert(HOST, header_value(&host, false)?);
        map.insert(ACCEPT, HeaderValue::from_static("application/json"));
        map.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Ok(http.post(url_with(self.endpoint, &query)).headers(map))
    }
}
