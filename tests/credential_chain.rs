//! Credentials from profiles, and the vendor's chain of providers as a whole.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/cloud.rs"]
mod cloud;

use std::path::Path;
use std::time::Duration;

use cloud::{
    Account, Clock, Fake, OIDC_PROVIDER, ROLE, Reply, hourly, hours, key, metadata, role, token,
};
use serde_json::json;
use tempfile::TempDir;
use vod_callback_exporter::aliyun::credentials::{Lookup, ProviderName, Settings, Sources};
use vod_callback_exporter::secret::SecretSource;

/// A home directory with one file.
fn home(relative: &str, text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), relative, text);
    dir
}

fn write(dir: &Path, relative: &str, text: &str) {
    let path = dir.join(relative);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn profiles_of_the_cli_are_read_in_every_mode() {
    let (clock, dir) = (Clock::new(), token());
    let sts = hourly(clock.clone()).await;
    let metadata = metadata(200).await;
    let config = json!({"current": "ak", "profiles": [
        {"name": "ak", "mode": "AK", "access_key_id": "LTAI", "access_key_secret": "hunter2", "sts_token": ""},
        {"name": "sts", "mode": "StsToken", "access_key_id": "STS.0", "access_key_secret": "hunter0", "sts_token": "token-0"},
        {"name": "role", "mode": "RamRoleArn", "access_key_id": "LTAI", "access_key_secret": "hunter2",
         "ram_role_arn": ROLE, "ram_session_name": "s", "expired_seconds": 900, "external_id": "e", "policy": "{}"},
        {"name": "chained", "mode": "ChainableRamRoleArn", "source_profile": "sts", "ram_role_arn": ROLE},
        {"name": "circle", "mode": "ChainableRamRoleArn", "source_profile": "circle", "ram_role_arn": ROLE},
        {"name": "ecs", "mode": "EcsRamRole", "ram_role_name": "node-role"},
        {"name": "oidc", "mode": "OIDC", "ram_role_arn": ROLE, "oidc_provider_arn": OIDC_PROVIDER,
         "oidc_token_file": dir.path().join("token")},
        {"name": "sso", "mode": "CloudSSO", "access_token": "hunter3"},
    ]});
    let home = home(".aliyun/config.json", &config.to_string());
    let of = |profile: Option<&str>| {
        let lookup = Lookup {
            profile: profile.map(str::to_owned),
            sts_endpoint: Some(sts.parsed()),
            metadata_endpoint: Some(metadata.parsed()),
            ..Lookup::default()
        };
        let environment = [("HOME", home.path().to_str().unwrap())];
        let settings = Settings::Named(ProviderName::CliProfile, lookup);
        Account::with(&settings, &environment, clock.clone())
    };
    assert_eq!(of(None).id().await.unwrap(), "LTAI");
    assert_eq!(of(Some("ak")).id().await.unwrap(), "LTAI");
    assert_eq!(of(Some("sts")).id().await.unwrap(), "STS.0");
    assert_eq!(of(Some("ecs")).id().await.unwrap(), "STS.7");
    assert_eq!(of(Some("role")).id().await.unwrap(), "STS.1");
    assert_eq!(of(Some("chained")).id().await.unwrap(), "STS.2");
    assert_eq!(of(Some("oidc")).id().await.unwrap(), "STS.3");

    let seen = sts.seen();
    let assumed = &seen[0];
    assert!(assumed.is_signed_by("LTAI", "hunter2"), "{assumed:?}");
    assert_eq!(assumed.header("x-acs-action"), Some("AssumeRole"));
    for (name, value) in [
        ("RoleArn", ROLE),
        ("RoleSessionName", "s"),
        ("DurationSeconds", "900"),
        ("ExternalId", "e"),
        ("Policy", "{}"),
    ] {
        assert_eq!(assumed.parameter(name).as_deref(), Some(value), "{name}");
    }
    assert!(seen[1].is_signed_by("STS.0", "hunter0"), "{:?}", seen[1]);
    assert_eq!(seen[1].header("x-acs-security-token"), Some("token-0"));

    for (profile, kind, part) in [
        ("circle", "malformed", "circle"),
        ("gone", "malformed", "no profile \"gone\""),
        ("sso", "unsupported", "CloudSSO"),
    ] {
        let account = of(Some(profile));
        assert_eq!(account.id().await, Err(kind));
        let error = account.error().await;
        assert!(error.contains(part) && !error.contains("hunter"), "{error}");
    }
}

#[tokio::test]
async fn sections_of_the_ini_file_are_read_in_every_type() {
    let (clock, dir) = (Clock::new(), token());
    let sts = hourly(clock.clone()).await;
    let metadata = metadata(200).await;
    let text = format!(
        "# comment\n[default]\ntype = access_key  # static\naccess_key_id = LTAI\naccess_key_secret=hunter2\n\
         [sts]\ntype: sts\naccess_key_id: STS.0\naccess_key_secret: hunter0\nsecurity_token: token-0\n\
         ; comment\n[role]\ntype=ram_role_arn\naccess_key_id=LTAI\naccess_key_secret=hunter2\nrole_arn={ROLE}\n\
         [oidc]\ntype=oidc_role_arn\nrole_arn={ROLE}\noidc_provider_arn={OIDC_PROVIDER}\noidc_token_file_path={}\n\
         [ecs]\ntype=ecs_ram_role\nrole_name=node-role\n\
         [rsa]\ntype=rsa_key_pair\n[half]\ntype=access_key\naccess_key_id=LTAI\n",
        dir.path().join("token").display()
    );
    for file in ["credentials", "credentials.ini"] {
        let home = home(&format!(".alibabacloud/{file}"), &text);
        let of = |profile: &str| {
            let lookup = Lookup {
                sts_endpoint: Some(sts.parsed()),
                metadata_endpoint: Some(metadata.parsed()),
                ..Lookup::default()
            };
            let environment = [
                ("HOME", home.path().to_str().unwrap()),
                ("ALIBABA_CLOUD_PROFILE", profile),
            ];
            let settings = Settings::Named(ProviderName::Ini, lookup);
            Account::with(&settings, &environment, clock.clone())
        };
        for (profile, result) in [
            ("", Ok("LTAI")),
            ("sts", Ok("STS.0")),
            ("ecs", Ok("STS.7")),
            ("rsa", Err("unsupported")),
            ("half", Err("malformed")),
            ("gone", Err("malformed")),
        ] {
            let id = of(profile).id().await;
            assert_eq!(id.as_deref().map_err(|kind| *kind), result, "{profile}");
        }
        assert!(of("role").id().await.unwrap().starts_with("STS."));
        assert!(of("oidc").id().await.unwrap().starts_with("STS."));
    }
    let first: Vec<_> = sts
        .seen()
        .iter()
        .map(|request| request.header("x-acs-action").is_some())
        .collect();
    assert_eq!(first, [true, false, true, false]);
}

#[tokio::test]
async fn a_half_written_profile_is_counted_and_keeps_the_earlier_key() {
    let whole = |id: &str| {
        json!({"current": "a", "profiles": [{"name": "a", "mode": "AK", "access_key_id": id, "access_key_secret": "hunter2"}]})
            .to_string()
    };
    let home = home(".aliyun/config.json", &whole("LTAI1"));
    let environment = [("HOME", home.path().to_str().unwrap())];
    let account = Account::named(ProviderName::CliProfile, Lookup::default(), &environment);
    assert_eq!(account.id().await.unwrap(), "LTAI1");

    for (n, half) in (1..).zip(["", "{\"profiles\": [{\"access_key_secret\": \"hun"]) {
        write(home.path(), ".aliyun/config.json", half);
        account.clock.advance(61);
        assert_eq!(account.id().await.unwrap(), "LTAI1");
        account.until_failed(n).await;
        assert_eq!(account.id().await.unwrap(), "LTAI1");
    }
    assert_eq!(account.failures(), ["malformed", "malformed"]);
    write(home.path(), ".aliyun/config.json", &whole("LTAI2"));
    account.clock.advance(61);
    account.until_id("LTAI2").await;

    write(
        home.path(),
        ".aliyun/config.json",
        "{\"profiles\": [{\"access_key_secret\": \"hun",
    );
    let fresh = Account::named(ProviderName::CliProfile, Lookup::default(), &environment);
    let error = fresh.error().await;
    assert!(
        error.contains("half-written") && error.contains("line 1"),
        "{error}"
    );
    assert!(!error.contains("\"hun"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_half_written_file_of_an_access_key_is_counted_and_keeps_the_earlier_key() {
    let dir = home("id", "LTAI1");
    write(dir.path(), "secret", "hunter1");
    let file = |name: &str| SecretSource::File(dir.path().join(name));
    let account = Account::new(
        &Settings::Keys(Sources {
            access_key_id: file("id"),
            access_key_secret: file("secret"),
            security_token: None,
        }),
        &[],
    );
    assert_eq!(account.id().await.unwrap(), "LTAI1");
    write(dir.path(), "id", "");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(account.id().await.unwrap(), "LTAI1");
    assert_eq!(account.failures(), ["empty"]);
    write(dir.path(), "id", "LTAI22");
    // A refusal does not wait for the next look.
    let used = account.provider.get().await.unwrap();
    let fresh = account.provider.refused(&used).await.unwrap();
    assert_eq!(fresh.access_key_id, "LTAI22");
    assert!(account.provider.refused(&fresh).await.is_none());
}

#[tokio::test]
async fn the_chain_asks_in_the_vendors_order() {
    let (dir, clock) = (token(), Clock::new());
    let (sts, metadata) = (hourly(clock.clone()).await, metadata(200).await);
    let uri = Fake::saying(|| Reply::json(200, &key(9, hours(2)))).await;
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        ".aliyun/config.json",
        r#"{"current": "a", "profiles": [{"name": "a", "mode": "AK", "access_key_id": "CLI", "access_key_secret": "s"}]}"#,
    );
    write(
        home.path(),
        ".alibabacloud/credentials",
        "[default]\ntype=access_key\naccess_key_id=INI\naccess_key_secret=s\n",
    );
    let (token, uri_text) = (dir.path().join("token"), uri.url());
    let mut environment = vec![
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ENV"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s"),
        ("ALIBABA_CLOUD_ROLE_ARN", ROLE),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", OIDC_PROVIDER),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token.to_str().unwrap()),
        ("HOME", home.path().to_str().unwrap()),
        ("ALIBABA_CLOUD_CREDENTIALS_URI", &uri_text),
    ];
    let lookup = Lookup {
        sts_endpoint: Some(sts.parsed()),
        metadata_endpoint: Some(metadata.parsed()),
        ..Lookup::default()
    };
    let settings = Settings::Chain(lookup);
    for (id, without) in [
        ("ENV", "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ("ENV", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        ("STS.1", "ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
        ("CLI", "ALIBABA_CLOUD_CLI_PROFILE_DISABLED"),
        ("INI", "HOME"),
        ("STS.7", "ALIBABA_CLOUD_ECS_METADATA_DISABLED"),
        ("STS.9", "ALIBABA_CLOUD_CREDENTIALS_URI"),
    ] {
        if without != "ALIBABA_CLOUD_ACCESS_KEY_SECRET" {
            let account = Account::with(&settings, &environment, clock.clone());
            assert_eq!(account.id().await.as_deref(), Ok(id));
        }
        match without {
            "ALIBABA_CLOUD_CLI_PROFILE_DISABLED" | "ALIBABA_CLOUD_ECS_METADATA_DISABLED" => {
                environment.push((without, "true"));
            }
            _ => environment.retain(|(name, _)| *name != without),
        }
    }
    let account = Account::with(&settings, &environment, clock);
    assert_eq!(account.id().await, Err("no_provider"));
    let error = account.error().await;
    for part in [
        "(1) environment: ALIBABA_CLOUD_ACCESS_KEY_ID and",
        "(2) oidc: found only a part: set ALIBABA_CLOUD_OIDC_TOKEN_FILE",
        "(3) cli_profile: ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true",
        "(4) ini: HOME is not set",
        "(5) ecs: ALIBABA_CLOUD_ECS_METADATA_DISABLED is true",
        "(6) uri: ALIBABA_CLOUD_CREDENTIALS_URI",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_passed_over_in_the_chain_only_and_comes_back() {
    let (dir, clock) = (token(), Clock::new());
    let mut n = 0;
    let sts = Fake::start(move |_| {
        n += 1;
        match n {
            1 | 3 => Reply::refusal(500, "InternalError"),
            2 => role(2, hours(12)),
            _ => role(4, hours(24)),
        }
    })
    .await;
    let metadata = metadata(200).await;
    let token = dir.path().join("token");
    let environment = [
        ("ALIBABA_CLOUD_ROLE_ARN", ROLE),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", OIDC_PROVIDER),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let lookup = Lookup {
        sts_endpoint: Some(sts.parsed()),
        metadata_endpoint: Some(metadata.parsed()),
        ..Lookup::default()
    };
    let account = Account::with(&Settings::Chain(lookup), &environment, clock);
    assert_eq!(account.id().await.unwrap(), "STS.7");
    assert_eq!(account.failures(), ["server_error"], "not silently");
    account.clock.advance(5 * 3600 + 1800);
    assert_eq!(account.id().await.unwrap(), "STS.7");
    account.until_id("STS.2").await;
    let asked = metadata.asked().len();
    // From now on the role of the instance is out of reach: a failure must not change who we are.
    account.clock.advance(6 * 3600);
    assert_eq!(account.id().await.unwrap(), "STS.2");
    account.until_failed(2).await;
    assert_eq!(metadata.asked().len(), asked);
    account.clock.advance(10);
    account.until_id("STS.4").await;
    assert_eq!(metadata.asked().len(), asked);
}
