//! The way to a service: name, connection, certificate; and what its clock says.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::DATE;
use rustls::CertificateError;
use url::{Host, Url};

use super::{Area, Report};
use crate::aliyun::rpc;
use crate::clock::{self, UnixMillis};
use crate::config::AccountConfig;

/// For a name, and for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Signatures are refused beyond this.
const MAX_SKEW: Duration = Duration::from_mins(15);
/// Beyond this the clock is not synchronised.
const ODD_SKEW: Duration = Duration::from_mins(1);
const DNS: &str = "check the spelling (account and region) and the resolver of this machine or pod; hosts with -internal and -vpc \
                   are known inside Alibaba Cloud only";
const WAY: &str = "check firewall, security group and network policy; inside a VPC use the -internal endpoint, outside see in the \
                   MNS console whether public access is on";

/// Why there was no answer.
struct Trouble {
    area: Area,
    found: String,
    remedy: String,
}

/// Says how far one gets; the reason why the service cannot be asked, if so.
pub(super) async fn reach(
    account: &AccountConfig,
    url: &Url,
    report: &mut Report,
) -> Result<(), String> {
    let host = rpc::host_of(url);
    let client = match account.transport().client() {
        Ok(client) => client,
        Err(error) => {
            let (found, remedy) = super::split(&error.to_string());
            report.fail(Area::Connection, &host, found, remedy.unwrap_or_default());
            return Err(format!("account {} has no way out", account.name));
        }
    };
    match (&account.proxy, url.host()) {
        (None, Some(Host::Domain(name))) => {
            let port = url.port_or_known_default().unwrap_or(443);
            match resolve(name, port).await {
                Ok(found) => report.ok(Area::Dns, &host, found),
                Err(problem) => {
                    let found = format!("cannot resolve {name}: {problem}");
                    report.fail(Area::Dns, &host, found, DNS);
                    return Err(format!("{host} cannot be resolved"));
                }
            }
        }
        (Some(_), _) => report.skip(Area::Dns, &host, "the proxy resolves it"),
        _ => {}
    }
    // Unsigned: whatever the answer, there is one, and it has a date.
    let asked = client.get(url.clone()).timeout(TIMEOUT).send().await;
    let response = match asked {
        Ok(response) => response,
        Err(error) => {
            let trouble = explain(&error, account, url);
            report.fail(trouble.area, &host, trouble.found, trouble.remedy);
            return Err(format!("{host} cannot be asked"));
        }
    };
    let by = account.proxy.as_ref().map_or(String::new(), |proxy| {
        format!(" by way of the proxy at {}", rpc::host_of(proxy))
    });
    report.ok(Area::Connection, &host, format!("answers{by}"));
    if url.scheme() == "https" {
        report.ok(Area::Tls, &host, "its certificate is trusted");
    }
    let date = response.headers().get(DATE);
    let server = date.and_then(|date| UnixMillis::parse_http_date(date.to_str().ok()?));
    judge_clock(&host, server, clock::now(), report)
}

async fn resolve(name: &str, port: u16) -> Result<String, String> {
    match tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((name, port))).await {
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(mut addresses)) => match addresses.next() {
            Some(address) => Ok(format!("is {}", address.ip())),
            None => Err("it has no address".to_owned()),
        },
    }
}

fn judge_clock(
    host: &str,
    server: Option<UnixMillis>,
    local: UnixMillis,
    report: &mut Report,
) -> Result<(), String> {
    let Some(server) = server else {
        report.skip(Area::Clock, host, "its answer has no Date to compare with");
        return Ok(());
    };
    let skew = Duration::from_millis(local.millis_since(server).unsigned_abs());
    let direction = if local < server { "behind" } else { "ahead of" };
    // The Date has a precision of one second.
    if skew <= Duration::from_secs(2) {
        report.ok(Area::Clock, host, "agrees with the local one");
        return Ok(());
    }
    let found = format!(
        "the local clock ({local}) is {} s {direction} the service's",
        skew.as_secs()
    );
    if skew > MAX_SKEW {
        let remedy =
            "synchronise the clock of this machine (NTP): signatures are refused beyond 15 min";
        report.fail(Area::Clock, host, found, remedy);
        return Err("the local clock is wrong".to_owned());
    }
    if skew > ODD_SKEW {
        let remedy = "synchronise the clock of this machine (NTP) before 15 min are reached";
        report.warn(Area::Clock, host, found, remedy);
    } else {
        report.ok(Area::Clock, host, found);
    }
    Ok(())
}

fn explain(error: &reqwest::Error, account: &AccountConfig, url: &Url) -> Trouble {
    let connection = |found: String, remedy: &str| Trouble {
        area: Area::Connection,
        found,
        remedy: remedy.to_owned(),
    };
    if let Some(tls) = find::<rustls::Error>(error) {
        return explain_tls(tls, account, url);
    }
    if error.is_timeout() {
        let found = format!("no answer within {} s", TIMEOUT.as_secs());
        return connection(found, WAY);
    }
    let refused = find::<io::Error>(error).map(io::Error::kind);
    if refused == Some(io::ErrorKind::ConnectionRefused) {
        let found = format!("nobody listens at {}", rpc::host_of(url));
        let remedy = match account.proxy {
            Some(_) => "check the proxy's address and whether it runs",
            None => "check the endpoint's scheme, host and port",
        };
        return connection(found, remedy);
    }
    connection(causes(error), WAY)
}

fn explain_tls(error: &rustls::Error, account: &AccountConfig, url: &Url) -> Trouble {
    let host = url.host_str().unwrap_or_default();
    let remedy = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "name the PEM file of its certificate authority as accounts.{}.ca_file (a proxy that inspects TLS has one of its \
             own), or install the system's certificates",
            account.name
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "synchronise the local clock (NTP), or have the certificate renewed".to_owned(),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the certificate is another host's: check the endpoint and what {host} resolves to"
        ),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS there: -internal endpoints of MNS are http:// only".to_owned()
        }
        _ => "see what stands between here and the endpoint; it must speak TLS 1.2 or later"
            .to_owned(),
    };
    Trouble {
        area: Area::Tls,
        found: error.to_string(),
        remedy,
    }
}

/// The first cause of this type. An I/O error hides what it was made of from `source`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The causes, without the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    match texts.is_empty() {
        true => "no answer".to_owned(),
        false => texts.join(": "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Status;

    #[test]
    fn the_clock_is_judged_by_what_signatures_allow() {
        for (skew, status, usable) in [
            (0, Status::Ok, true),
            (59, Status::Ok, true),
            (-61, Status::Warn, true),
            (899, Status::Warn, true),
            (-901, Status::Fail, false),
        ] {
            let (mut report, server) = (Report::default(), UnixMillis::from_secs(1_700_000_000));
            let local = UnixMillis(server.0 + skew * 1_000);
            let judged = judge_clock("h", Some(server), local, &mut report);
            assert_eq!(report.findings[0].status, status, "{skew}");
            assert_eq!(judged.is_ok(), usable, "{skew}");
        }
        let mut report = Report::default();
        assert!(judge_clock("h", None, UnixMillis(0), &mut report).is_ok());
        assert_eq!(report.findings[0].status, Status::Skipped);
    }
}
