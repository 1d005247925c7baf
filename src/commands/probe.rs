//! `probe`: asks a URL and says by its exit code whether the answer is good, for images without curl.

mod tls;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::cli::UsageError;
use crate::commands::block_on;
use crate::http::read_capped;
use crate::secret::SecretSource;

/// Bytes of an answer that may be quoted in an error.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Flags of `probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// What to ask
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:10058/-/healthy")]
    url: Url,
    /// Time for the whole of it
    #[arg(
        long,
        value_name = "SECONDS",
        env = "VOD_CALLBACK_EXPORTER_TIMEOUT",
        hide_env_values = true,
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=300)
    )]
    timeout: u64,
    /// PEM file with the certificates to trust [default: the system's]
    #[arg(
        long,
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_CA_FILE",
        hide_env_values = true
    )]
    ca_file: Option<PathBuf>,
    /// Trust any server, as Kubernetes does with its own probes: a certificate rarely names the loopback address
    #[arg(
        long,
        env = "VOD_CALLBACK_EXPORTER_INSECURE",
        hide_env_values = true,
        conflicts_with = "ca_file"
    )]
    insecure: bool,
    /// PEM file with the certificate to show
    #[arg(
        long,
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_CERT_FILE",
        hide_env_values = true,
        requires = "key_file"
    )]
    cert_file: Option<PathBuf>,
    /// PEM file with that certificate's key
    #[arg(
        long,
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_KEY_FILE",
        hide_env_values = true,
        requires = "cert_file"
    )]
    key_file: Option<PathBuf>,
    /// Name of the user to ask as
    #[arg(
        long,
        value_name = "NAME",
        env = "VOD_CALLBACK_EXPORTER_USER",
        hide_env_values = true,
        requires = "password_file"
    )]
    user: Option<String>,
    /// File with that user's password
    #[arg(
        long,
        value_name = "FILE",
        env = "VOD_CALLBACK_EXPORTER_PASSWORD_FILE",
        hide_env_values = true,
        requires = "user"
    )]
    password_file: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Prints the status. Exit codes: 0 the answer is a 2xx, 1 it is not or there is none, 64 bad flags. Redirects are not followed.

  vod-callback-exporter probe
  vod-callback-exporter probe https://127.0.0.1:10058/-/ready --insecure --user=probe --password-file=/etc/probe";

/// Asks once.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let url = checked(&args.url)?;
    let password = args
        .password_file
        .as_ref()
        .map(|path| SecretSource::File(path.clone()).read());
    let password = password.transpose()?;
    let client = tls::client(args)?;
    let status = block_on(ask(args, url, password, client))?;
    writeln!(io::stdout(), "{status}")?;
    Ok(())
}

/// The URL, if it is one of HTTP and holds no secret.
fn checked(url: &Url) -> Result<Url, UsageError> {
    if !url.username().is_empty() || url.password().is_some() {
        let text =
            "found a URL with user name or password (not shown); give --user and --password-file";
        return Err(UsageError(text.to_owned()));
    }
    if !matches!(url.scheme(), "http" | "https") {
        let text = format!(
            "found a URL with scheme `{}`, expected http or https",
            url.scheme()
        );
        return Err(UsageError(text));
    }
    Ok(url.clone())
}

async fn ask(
    args: &Args,
    url: Url,
    password: Option<SecretString>,
    client: reqwest::Client,
) -> anyhow::Result<http::StatusCode> {
    let mut request = client
        .get(url.clone())
        .timeout(Duration::from_secs(args.timeout));
    if let (Some(user), Some(password)) = (&args.user, &password) {
        request = request.basic_auth(user, Some(password.expose_secret()));
    }
    // The error would tell the URL once more.
    let asked = request.send().await.map_err(reqwest::Error::without_url);
    let answer = asked.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(status);
    }
    let body = read_capped(reqwest::Body::from(answer), MAX_ANSWER_BYTES).await;
    let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
    let said = body.unwrap_or_default();
    let said = said.lines().next().unwrap_or_default().trim();
    bail!("{url} answered {status}: {}", said.escape_debug());
}
