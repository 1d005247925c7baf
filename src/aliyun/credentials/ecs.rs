//! The role of the machine, from the metadata service of ECS.
//!
//! Facts: Alibaba Cloud documentation "Instance metadata" and "Instance RAM roles".

use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;
use url::Url;

use super::answer::{Answer, Asked, Grant};
use super::environment::{ECS_METADATA, ECS_METADATA_DISABLED, Environment, IMDSV1_DISABLED};
use super::plan::Plan;
use super::{Clock, Failure, Lookup, Refusal};
use crate::aliyun::rpc;

/// For everything that is asked together. It is one hop away: what takes longer is not there.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What a token may take of that while it can be done without one. Behind the one hop that version 2 allows (in a
/// container, say) its answer never arrives, and that of version 1 does.
const TOKEN_TIMEOUT: Duration = Duration::from_millis(500);
const TOKEN_SECS: &str = "21600";
const REMEDY: &str = "is this an ECS instance? elsewhere set ALIBABA_CLOUD_ECS_METADATA_DISABLED=true, or name another \
                      provider";
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

/// What to ask the metadata service for.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    /// Where it is.
    pub(super) endpoint: Url,
    /// The role; none to ask for its name.
    pub(super) role: Option<String>,
    /// Whether to ask without a token where none is to be had.
    pub(super) allow_v1: bool,
}

/// What the options and the environment say of it; `role` has precedence.
pub(super) fn plan(
    role: Option<&str>,
    lookup: &Lookup,
    environment: &Environment,
) -> Result<Plan, Failure> {
    if environment.is_true(ECS_METADATA_DISABLED) {
        return Err(Failure::Absent(format!("{ECS_METADATA_DISABLED} is true")));
    }
    let endpoint = match &lookup.metadata_endpoint {
        Some(endpoint) => endpoint.clone(),
        None => Url::parse("http://100.100.100.200")
            .map_err(|error| Failure::malformed("100.100.100.200", error.to_string()))?,
    };
    let role = role
        .or(lookup.ecs_role.as_deref())
        .or_else(|| environment.get(ECS_METADATA));
    Ok(Plan::Ecs(Metadata {
        endpoint,
        role: role.map(str::to_owned),
        allow_v1: !environment.is_true(IMDSV1_DISABLED),
    }))
}

// === impl Metadata ===

impl Metadata {
    pub(super) async fn ask(
        &self,
        http: &reqwest::Client,
        clock: &Clock,
    ) -> Result<Grant, Failure> {
        let host = rpc::host_of(&self.endpoint);
        let asked = Asked {
            host: &host,
            timeout: TIMEOUT,
            remedy: REMEDY,
            secret: "",
        };
        let until = Instant::now() + TIMEOUT;
        let token = self.token(http, asked).await?;
        let get = async |path: &str| self.get(http, (asked, until), token.as_deref(), path).await;
        let role = if let Some(role) = &self.role {
            role.clone()
        } else {
            let answer = get(ROLES).await?;
            let names = String::from_utf8_lossy(&answer.body);
            names.lines().next().unwrap_or_default().trim().to_owned()
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".@_-".contains(&byte);
        if role.is_empty() || role.len() > 64 || !role.bytes().all(is_name) {
            let problem =
                "found no name of a role, expected one; attach a RAM role to the instance";
            return Err(Failure::malformed(host, problem));
        }
        let path = format!("{ROLES}{role}");
        let answer = get(&path).await?;
        let object = asked.object(
            &answer,
            |_| "check the RAM role that is attached to the instance",
        )?;
        asked.grant(&answer, &object, clock())
    }

    /// The session's token, which version 2 of the service wants; none where it is asked without.
    async fn token(
        &self,
        http: &reqwest::Client,
        asked: Asked<'_>,
    ) -> Result<Option<String>, Failure> {
        let request = http
            .request(Method::PUT, self.url("/latest/api/token"))
            .header("X-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_SECS)
            .body("");
        let left = if self.allow_v1 {
            TOKEN_TIMEOUT
        } else {
            TIMEOUT
        };
        let answer = match asked.ask_within(left, request).await {
            Ok(answer) => answer,
            Err(_) if self.allow_v1 => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let token = String::from_utf8_lossy(&answer.body).trim().to_owned();
        if answer.status == 200 && super::keys::is_sendable(&token) {
            return Ok(Some(token));
        }
        if self.allow_v1 {
            return Ok(None);
        }
        let remedy = "ALIBABA_CLOUD_IMDSV1_DISABLED is true, so that nothing is asked without a token: see why the service \
                      gives none";
        Err(refused(asked.host, answer.status, remedy))
    }

    async fn get(
        &self,
        http: &reqwest::Client,
        (asked, until): (Asked<'_>, Instant),
        token: Option<&str>,
        path: &str,
    ) -> Result<Answer, Failure> {
        let mut request = http.get(self.url(path));
        if let Some(token) = token {
            let value = rpc::header_value(token, true).map_err(|_| {
                Failure::malformed(asked.host, "found a token that no header can carry")
            })?;
            request = request.header("X-aliyun-ecs-metadata-token", value);
        }
        let left = until.saturating_duration_since(Instant::now());
        let answer = asked.ask_within(left, request).await?;
        match answer.status {
            200 => Ok(answer),
            404 => {
                let remedy = "no such role: attach a RAM role to the instance, or name the one that is attached";
                Err(refused(asked.host, 404, remedy))
            }
            // A token that the service does not take, as behind some proxies of version 1.
            _ if token.is_some() && self.allow_v1 => {
                Box::pin(self.get(http, (asked, until), None, path)).await
            }
            status => Err(refused(
                asked.host,
                status,
                "see the state of the metadata service",
            )),
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.endpoint.clone();
        url.set_path(path);
        url
    }
}

fn refused(host: &str, status: u16, remedy: &'static str) -> Failure {
    Failure::Refused(Box::new(Refusal {
        host: host.to_owned(),
        status,
        code: String::new(),
        message: String::new(),
        request_id: String::new(),
        remedy,
    }))
}
