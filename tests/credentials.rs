//! Credentials from STS, from the metadata service and from a credentials URI, against local fakes of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/cloud.rs"]
mod cloud;

use std::path::Path;
use std::time::Duration;

use cloud::{
    Account, Clock, Fake, OIDC_PROVIDER, ROLE, Reply, START, hourly, hours, key, metadata,
    metadata_saying, role, token,
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use vod_callback_exporter::aliyun::credentials::{
    Credentials, Lookup, ProviderName, Settings, sts,
};
use vod_callback_exporter::aliyun::transport;

/// A pod with RRSA, whose STS is `fake`.
fn pod(fake: &Fake, dir: &Path) -> Account {
    let lookup = Lookup {
        sts_endpoint: Some(fake.parsed()),
        ..Lookup::default()
    };
    let file = dir.join("token");
    Account::named(
        ProviderName::Oidc,
        lookup,
        &[
            ("ALIBABA_CLOUD_ROLE_ARN", ROLE),
            ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", OIDC_PROVIDER),
            ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", file.to_str().unwrap()),
        ],
    )
}

#[tokio::test]
async fn a_pod_takes_its_role_with_the_token_in_a_form_and_renews_it_behind() {
    let (dir, clock) = (token(), Clock::new());
    let fake = hourly(clock.clone()).await;
    let lookup = Lookup {
        sts_endpoint: Some(fake.parsed()),
        role_arn: Some(ROLE.to_owned()),
        oidc_provider_arn: Some(OIDC_PROVIDER.to_owned()),
        oidc_token_file: Some(dir.path().join("token").display().to_string()),
        ..Lookup::default()
    };
    let settings = Settings::Named(ProviderName::Oidc, lookup);
    let account = Account::with(&settings, &[], clock);
    let first = account.provider.get().await.unwrap();
    assert_eq!(first.access_key_id, "STS.1");
    assert_eq!(first.access_key_secret.expose_secret(), "hunter-1");
    assert_eq!(
        first.security_token.as_ref().unwrap().expose_secret(),
        "token-1"
    );

    let request = &fake.seen()[0];
    assert_eq!(request.method, "POST");
    for (name, value) in [
        ("Action", "AssumeRoleWithOIDC"),
        ("Format", "JSON"),
        ("Version", "2015-04-01"),
        ("Timestamp", "2026-01-02T03:04:05Z"),
        ("RoleArn", ROLE),
        ("OIDCProviderArn", OIDC_PROVIDER),
        ("OIDCToken", "eyJ.first"),
        ("RoleSessionName", "vod-callback-exporter"),
        ("DurationSeconds", "3600"),
    ] {
        assert_eq!(request.parameter(name).as_deref(), Some(value), "{name}");
    }
    assert!(!request.target.contains("eyJ"), "{}", request.target);
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );

    // 51 of 60 minutes: not due yet. Then the old ones serve whoever asks first.
    account.clock.advance(50 * 60);
    assert_eq!(account.id().await.unwrap(), "STS.1");
    assert_eq!(fake.seen().len(), 1);
    std::fs::write(dir.path().join("token"), "eyJ.second").unwrap();
    account.clock.advance(2 * 60);
    assert_eq!(account.id().await.unwrap(), "STS.1");
    account.until_id("STS.2").await;
    assert_eq!(
        fake.seen()[1].parameter("OIDCToken").as_deref(),
        Some("eyJ.second")
    );
    assert_eq!(fake.seen().len(), 2);
    let renewed = account.told.renewed.lock().unwrap().clone();
    let second = account.clock.now().plus(Duration::from_hours(1));
    assert_eq!(renewed, [Some(hours(1)), Some(second)]);
    let status = account.provider.status().unwrap();
    assert_eq!(
        (status.provider, status.expires),
        (Some(ProviderName::Oidc), Some(second))
    );
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_request_and_one_error() {
    let dir = token();
    let fake = Fake::saying(|| role(1, hours(1))).await;
    let account = pod(&fake, dir.path());
    let asked = at_once(&account).await;
    assert!(
        asked.iter().all(|id| id.as_deref() == Ok("STS.1")),
        "{asked:?}"
    );
    assert_eq!(fake.seen().len(), 1);

    let refusing = Fake::saying(|| Reply::refusal(403, "NoPermission")).await;
    let account = pod(&refusing, dir.path());
    let asked = at_once(&account).await;
    assert!(asked.iter().all(|id| *id == Err("refused")), "{asked:?}");
    assert_eq!(refusing.seen().len(), 1);
    assert_eq!(account.failures(), ["refused"]);
}

/// What four who ask at once are told.
async fn at_once(account: &Account) -> [Result<String, &'static str>; 4] {
    let (first, second, third, fourth) =
        tokio::join!(account.id(), account.id(), account.id(), account.id());
    [first, second, third, fourth]
}

#[tokio::test]
async fn what_sts_refuses_is_explained_and_the_old_ones_serve_until_they_expire() {
    let dir = token();
    let (mut n, mut codes) = (
        0,
        vec![
            (404, "EntityNotExist.Role"),
            (403, "AuthenticationFail.OIDCToken.Expired"),
            (503, "ServiceUnavailable"),
        ]
        .into_iter(),
    );
    let fake = Fake::start(move |_| {
        n += 1;
        match n {
            1 => role(1, hours(1)),
            _ => codes.next().map_or_else(
                || role(2, hours(3)),
                |(status, code)| Reply::refusal(status, code),
            ),
        }
    })
    .await;
    let account = pod(&fake, dir.path());
    assert_eq!(account.id().await.unwrap(), "STS.1");
    account.clock.advance(52 * 60);
    assert_eq!(account.id().await.unwrap(), "STS.1");
    account.until_failed(1).await;
    // The next attempt waits for a few seconds.
    assert_eq!(account.id().await.unwrap(), "STS.1");
    account.clock.advance(6);
    assert_eq!(account.id().await.unwrap(), "STS.1");
    account.until_failed(2).await;

    account.clock.advance(8 * 60);
    let error = account.provider.get().await.unwrap_err();
    assert_eq!(error.kind(), "server_error");
    assert_eq!(account.failures(), ["refused", "refused", "server_error"]);
    let waits = account.error().await;
    assert_eq!(waits, error.to_string(), "nobody is asked meanwhile");
    assert_eq!(fake.seen().len(), 4);
    account.clock.advance(60);
    assert_eq!(account.id().await.unwrap(), "STS.2");
}

#[tokio::test]
async fn errors_name_what_was_found_and_the_remedy_and_no_secret() {
    let dir = token();
    for (status, code, part) in [
        (404, "EntityNotExist.Role", "check the role's ARN"),
        (400, "InvalidParameter.RoleArn", "check the role's ARN"),
        (403, "NoPermission", "trust policy"),
        (403, "AuthenticationFail.OIDCToken.Expired", "kubelet"),
        (
            400,
            "InvalidParameter.OIDCProviderArn",
            "oidc-provider/NAME",
        ),
        (400, "InvalidTimeStamp.Expired", "NTP"),
    ] {
        let fake = Fake::saying(move || Reply::refusal(status, code)).await;
        let error = pod(&fake, dir.path()).error().await;
        for part in [
            part,
            code,
            "no credentials from oidc",
            "request id 5F",
            "The reason of",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("eyJ"), "{error}");
    }
    let echo = r#"{"Code": "InvalidParameter.OIDCToken", "Message": "bad token eyJ.first"}"#;
    let fake = Fake::saying(move || Reply::text(400, echo)).await;
    let error = pod(&fake, dir.path()).error().await;
    assert!(
        error.contains("not shown") && !error.contains("eyJ"),
        "{error}"
    );
    for (reply, kind) in [
        ("<html>", "malformed"),
        ("{}", "malformed"),
        (
            r#"{"Credentials": {"AccessKeyId": "a b", "Expiration": "2026-01-02T04:04:05Z"}}"#,
            "malformed",
        ),
        (
            r#"{"Credentials": {"Expiration": "tomorrow"}}"#,
            "malformed",
        ),
        (
            r#"{"Credentials": {"Expiration": "2026-01-02T03:04:04Z"}}"#,
            "expired",
        ),
    ] {
        let fake = Fake::saying(move || Reply::text(200, reply)).await;
        assert_eq!(pod(&fake, dir.path()).id().await, Err(kind), "{reply}");
    }
    let fake = Fake::saying(|| role(1, hours(1))).await;
    for (text, kind) in [("", "malformed"), ("half a\0token", "malformed")] {
        std::fs::write(dir.path().join("token"), text).unwrap();
        assert_eq!(pod(&fake, dir.path()).id().await, Err(kind), "{text:?}");
    }
    std::fs::remove_file(dir.path().join("token")).unwrap();
    let error = pod(&fake, dir.path()).error().await;
    assert!(
        error.contains("cannot read") && error.contains("check the path"),
        "{error}"
    );
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn the_clock_of_the_service_decides_what_is_expired() {
    let dir = token();
    // The local clock is five hours behind, then five hours ahead.
    for there in [hours(5), START.minus(Duration::from_hours(5))] {
        let expires = there.plus(Duration::from_hours(1));
        let fake = Fake::saying(move || role(1, expires).at(there)).await;
        let account = pod(&fake, dir.path());
        assert_eq!(account.id().await.unwrap(), "STS.1");
        account.clock.advance(50 * 60);
        assert_eq!(account.id().await.unwrap(), "STS.1");
        assert_eq!(fake.seen().len(), 1, "good for an hour from then on");
        assert_eq!(account.provider.status().unwrap().expires, Some(expires));
    }
}

fn instance(fake: &Fake, environment: &[(&str, &str)]) -> Account {
    let lookup = Lookup {
        metadata_endpoint: Some(fake.parsed()),
        ..Lookup::default()
    };
    Account::named(ProviderName::Ecs, lookup, environment)
}

#[tokio::test]
async fn an_instance_asks_for_its_role_with_a_token() {
    let fake = metadata(200).await;
    assert_eq!(instance(&fake, &[]).id().await.unwrap(), "STS.7");
    let roles = "/latest/meta-data/ram/security-credentials/";
    let asked = [
        "PUT /latest/api/token".to_owned(),
        format!("GET {roles}"),
        format!("GET {roles}node-role"),
    ];
    assert_eq!(fake.asked(), asked);
    let seen = fake.seen();
    let ttl = seen[0].header("x-aliyun-ecs-metadata-token-ttl-seconds");
    assert_eq!(ttl, Some("21600"));
    for request in &seen[1..] {
        let token = request.header("x-aliyun-ecs-metadata-token");
        assert_eq!(token, Some("the-token"));
    }

    let named = [("ALIBABA_CLOUD_ECS_METADATA", "node-role")];
    assert_eq!(instance(&fake, &named).id().await.unwrap(), "STS.7");
    assert_eq!(fake.asked().len(), 5, "the name is not asked for");
    let wrong = [("ALIBABA_CLOUD_ECS_METADATA", "gone-role")];
    let error = instance(&fake, &wrong).error().await;
    assert!(error.contains("answered 404; no such role"), "{error}");
}

#[tokio::test]
async fn version_1_of_the_metadata_service_serves_unless_it_is_disabled() {
    let fake = metadata(404).await;
    assert_eq!(instance(&fake, &[]).id().await.unwrap(), "STS.7");
    let seen = fake.seen();
    assert!(
        seen.iter()
            .all(|request| request.header("x-aliyun-ecs-metadata-token").is_none())
    );

    let disabled = [("ALIBABA_CLOUD_IMDSV1_DISABLED", "true")];
    let error = instance(&fake, &disabled).error().await;
    assert!(error.contains("ALIBABA_CLOUD_IMDSV1_DISABLED"), "{error}");
    assert_eq!(
        fake.seen().len(),
        seen.len() + 1,
        "nothing is asked without a token"
    );
}

#[tokio::test]
async fn version_1_serves_whatever_becomes_of_the_token() {
    for (reply, kind) in [
        (
            Box::new(|| Reply::Reset) as Box<dyn Fn() -> Reply + Send>,
            "connection",
        ),
        (Box::new(|| Reply::Hang), "timeout"),
        (
            Box::new(|| Reply::text(200, &"x".repeat(200_000))),
            "malformed",
        ),
    ] {
        let fake = metadata_saying(reply).await;
        let account = instance(&fake, &[]);
        let id = tokio::time::timeout(Duration::from_secs(20), account.id());
        assert_eq!(id.await.unwrap().unwrap(), "STS.7", "{kind}");
        assert_eq!(account.failures(), [""; 0], "{kind}");
        let (methods, seen) = (fake.asked(), fake.seen());
        // A client may try a connection that was reset once more.
        let gets = methods.iter().filter(|asked| asked.starts_with("GET "));
        assert_eq!(gets.count(), 2, "{kind}: {methods:?}");
        assert!(
            seen.iter()
                .all(|request| request.header("x-aliyun-ecs-metadata-token").is_none()),
            "{kind}"
        );

        let disabled = instance(&fake, &[("ALIBABA_CLOUD_IMDSV1_DISABLED", "true")]);
        let error = tokio::time::timeout(Duration::from_secs(20), disabled.provider.get());
        assert_eq!(error.await.unwrap().unwrap_err().kind(), kind);
        let gets = fake
            .asked()
            .into_iter()
            .filter(|asked| asked.starts_with("GET "));
        assert_eq!(gets.count(), 2, "{kind}: nothing is asked without a token");
    }
}

#[tokio::test]
async fn a_metadata_service_that_hangs_costs_a_second() {
    let fake = Fake::saying(|| Reply::Hang).await;
    for (environment, requests) in [
        (&[][..], 2),
        (&[("ALIBABA_CLOUD_IMDSV1_DISABLED", "true")], 3),
    ] {
        let account = instance(&fake, environment);
        let started = tokio::time::Instant::now();
        let error = tokio::time::timeout(Duration::from_secs(20), account.provider.get());
        let error = error.await.unwrap().unwrap_err();
        let took = started.elapsed();
        assert_eq!(error.kind(), "timeout");
        assert!(
            error.to_string().contains("no complete answer within 1 s"),
            "{error}"
        );
        assert!(took >= Duration::from_millis(950), "{took:?}");
        assert!(took < Duration::from_millis(1_900), "{took:?}");
        assert_eq!(fake.seen().len(), requests, "{environment:?}");
        assert_eq!(account.failures(), ["timeout"]);
    }
}

#[tokio::test]
async fn a_service_of_ones_own_hands_out_credentials() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/creds?for=me" => Reply::json(200, &key(3, hours(2))),
        _ => Reply::json(500, &json!({"Code": "Broken", "Message": "no"})),
    })
    .await;
    let uri = |path: &str| {
        let uri = format!("{}{path}", fake.url());
        Account::named(
            ProviderName::Uri,
            Lookup::default(),
            &[("ALIBABA_CLOUD_CREDENTIALS_URI", &uri)],
        )
    };
    assert_eq!(uri("/creds?for=me").id().await.unwrap(), "STS.3");
    let error = uri("/other?key=hunter2").error().await;
    assert!(
        error.contains("answered 500 Broken (no)") && !error.contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn sts_tells_who_somebody_is() {
    let fake = Fake::start(|request| {
        if !request.is_signed_by("STS.1", "hunter-1") {
            return Reply::refusal(400, "SignatureDoesNotMatch");
        }
        Reply::json(200, &json!({
            "RequestId": "5F", "AccountId": "1234567890123456", "IdentityType": "AssumedRoleUser",
            "Arn": "acs:ram::1234567890123456:assumed-role/exporter/vod-callback-exporter",
            "PrincipalId": "3000:vod-callback-exporter", "RoleId": "3000",
        }))
    })
    .await;
    let http = transport::Options::default().client().unwrap();
    let ask = async |secret: &str| {
        let credentials = Credentials {
            access_key_id: "STS.1".to_owned(),
            access_key_secret: secret.into(),
            security_token: Some("token-1".into()),
        };
        sts::get_caller_identity(&http, &fake.parsed(), &credentials, START, "n1").await
    };
    let identity = ask("hunter-1").await.unwrap();
    assert_eq!(identity.account_id, "1234567890123456");
    assert_eq!(identity.identity_type, "AssumedRoleUser");
    assert!(
        identity
            .arn
            .ends_with("assumed-role/exporter/vod-callback-exporter")
    );
    let request = &fake.seen()[0];
    assert_eq!(request.header("x-acs-action"), Some("GetCallerIdentity"));
    assert_eq!(request.header("x-acs-version"), Some("2015-04-01"));
    assert_eq!(request.header("x-acs-security-token"), Some("token-1"));

    let failure = ask("wrong").await.unwrap_err();
    assert_eq!(failure.kind(), "refused");
    assert!(
        failure.to_string().contains("check the access key secret"),
        "{failure}"
    );
}
