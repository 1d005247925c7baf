//! The vendor's SDK finds the same credentials in the same places, and asks its services for the same.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests panic and print"
)]

#[path = "support/cloud.rs"]
mod cloud;
#[path = "support/referees.rs"]
mod referees;

use std::time::Duration;

use cloud::{Account, Fake, OIDC_PROVIDER, ROLE, Reply, Request, key, role};
use referees::Referees;
use vod_callback_exporter::aliyun::credentials::{Lookup, Settings};
use vod_callback_exporter::clock;

/// Everything that providers ask for, on one port.
async fn services() -> Fake {
    let expires = clock::now().plus(Duration::from_hours(2));
    // Whole seconds, which is what the services tell and the SDK reads.
    let expires = expires.minus(Duration::from_millis(
        expires.0.rem_euclid(1_000).unsigned_abs(),
    ));
    let roles = "/latest/meta-data/ram/security-credentials/";
    Fake::start(move |request| match request.target.split('?').next() {
        Some("/latest/api/token") => Reply::text(200, "the-token"),
        Some(path) if path == roles => Reply::text(200, "node-role"),
        Some(path) if path.starts_with(roles) => Reply::json(200, &key(7, expires)),
        Some("/creds") => Reply::json(200, &key(9, expires)),
        _ => role(1, expires),
    })
    .await
}

/// What must be the same of a request. The SDK puts into the query what we put into a form, and signs in an older way.
fn essence(request: &Request) -> Vec<(String, Option<String>)> {
    let target = request.target.split('?').next().unwrap().to_owned();
    let action = request.parameter("Action");
    let action = action.or_else(|| request.header("x-acs-action").map(str::to_owned));
    let parameters = [
        "RoleArn",
        "OIDCProviderArn",
        "OIDCToken",
        "RoleSessionName",
        "DurationSeconds",
        "ExternalId",
        "Policy",
    ];
    let headers = [
        "x-aliyun-ecs-metadata-token",
        "x-aliyun-ecs-metadata-token-ttl-seconds",
    ];
    let version = request.parameter("Version");
    let version = version.or_else(|| request.header("x-acs-version").map(str::to_owned));
    [
        ("path".to_owned(), Some(target)),
        ("action".to_owned(), action),
        ("version".to_owned(), version),
    ]
    .into_iter()
    .chain(parameters.map(|name| (name.to_owned(), request.parameter(name))))
    .chain(headers.map(|name| (name.to_owned(), request.header(name).map(str::to_owned))))
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_sdk_finds_the_same_credentials() {
    let Some(referees) = Referees::find() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let token = write("token", "eyJ.token");
    let config = serde_json::json!({"current": "ak", "profiles": [
        {"name": "ak", "mode": "AK", "access_key_id": "CLI", "access_key_secret": "s"},
        {"name": "role", "mode": "RamRoleArn", "access_key_id": "CLI", "access_key_secret": "s", "ram_role_arn": ROLE,
         "ram_session_name": "session", "expired_seconds": 1800, "external_id": "e", "policy": "{}"},
        {"name": "oidc", "mode": "OIDC", "ram_role_arn": ROLE, "oidc_provider_arn": OIDC_PROVIDER, "oidc_token_file": token,
         "role_session_name": "session"},
        {"name": "ecs", "mode": "EcsRamRole", "ram_role_name": "node-role"},
    ]});
    write(".aliyun/config.json", &config.to_string());
    let ini = write(
        "ini",
        "[default]\ntype = access_key # comment\naccess_key_id = INI\naccess_key_secret: s\n",
    );
    let services = services().await;
    let uri = format!("{}/creds", services.url());
    let home = home.path().to_str().unwrap();
    let no_cli = ("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true");
    let no_ini = ("ALIBABA_CLOUD_CREDENTIALS_FILE", "/nonexistent");
    let no_ecs = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    let named_ini = ("ALIBABA_CLOUD_CREDENTIALS_FILE", ini.as_str());
    let named_uri = ("ALIBABA_CLOUD_CREDENTIALS_URI", uri.as_str());
    let access_key = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ENV"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s"),
    ];
    let rrsa = [
        ("ALIBABA_CLOUD_ROLE_ARN", ROLE),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", OIDC_PROVIDER),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token.as_str()),
        ("ALIBABA_CLOUD_ROLE_SESSION_NAME", "session"),
    ];
    let profile = |name| ("ALIBABA_CLOUD_PROFILE", name);
    for (provider, environment) in [
        (
            "env",
            [&access_key[..], &rrsa, &[named_ini, named_uri]].concat(),
        ),
        (
            "oidc_role_arn",
            [&rrsa[..], &[named_ini, named_uri]].concat(),
        ),
        ("cli_profile/static_ak", vec![named_ini, named_uri]),
        ("cli_profile/ram_role_arn/static_ak", vec![profile("role")]),
        ("cli_profile/oidc_role_arn", vec![profile("oidc")]),
        ("cli_profile/ecs_ram_role", vec![profile("ecs")]),
        ("profile/static_ak", vec![no_cli, named_ini, named_uri]),
        ("ecs_ram_role", vec![no_cli, no_ini, named_uri]),
        ("credential_uri", vec![no_cli, no_ini, no_ecs, named_uri]),
    ] {
        let before = services.seen().len();
        let mut sdk = referees.script("python/credentials.py");
        sdk.env_clear()
            .env("HOME", home)
            .envs(environment.iter().copied())
            .arg(services.address.port().to_string());
        let said = sdk.output().unwrap();
        let errors = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{provider}: {errors}");
        let said = String::from_utf8(said.stdout).unwrap();
        let (id, from) = said.trim().split_once(' ').unwrap();
        assert_eq!(from, format!("default/{provider}"));
        let theirs: Vec<_> = services.seen().iter().skip(before).map(essence).collect();

        let lookup = Lookup {
            sts_endpoint: Some(services.parsed()),
            metadata_endpoint: Some(services.parsed()),
            ..Lookup::default()
        };
        let mut variables = environment.clone();
        variables.push(("HOME", home));
        let before = services.seen().len();
        let account = Account::new(&Settings::Chain(lookup), &variables);
        assert_eq!(account.id().await.as_deref(), Ok(id), "{provider}");
        let ours: Vec<_> = services.seen().iter().skip(before).map(essence).collect();
        // The SDK fetches a token for each of its questions to the metadata service, we one for both.
        let mut theirs = theirs;
        let mut tokens = 0;
        theirs.retain(|request| {
            let is_token = request[0].1.as_deref() == Some("/latest/api/token");
            tokens += usize::from(is_token);
            !is_token || tokens == 1
        });
        assert_eq!(ours, theirs, "{provider}");
    }
}
