//! `probe`: asks a URL and says by its exit code whether the answer is good, for images without curl.

mod tls;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use url::Url;

use crate::cli::UsageError;
use crate::commands::block_on;
use crate::http::read_capped;
use crate::secret::SecretSource;

/// Bytes of an answer that may be quoted in an error.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Time before the second try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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
    /// Ask again until the time is over, where the connection is refused or the answer is 503: what starts is waited for
    #[arg(long, env = "VOD_CALLBACK_EXPORTER_RETRY", hide_env_values = true)]
    retry: bool,
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

/// Why there is no success.
struct Failure {
    error: anyhow::Error,
    /// Whether it looks like something that starts.
    may_pass: bool,
}

/// Asks once, or with `--retry` until there is an answer that stays.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let url = checked(&args.url)?;
    let password = args
        .password_file
        .as_ref()
        .map(|path| SecretSource::File(path.clone()).read());
    let password = password.transpose()?;
    let client = tls::client(args)?;
    let status = block_on(ask(args, &url, password.as_ref(), &client))?;
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
    url: &Url,
    password: Option<&SecretString>,
    client: &reqwest::Client,
) -> anyhow::Result<http::StatusCode> {
    let end = Instant::now() + Duration::from_secs(args.timeout);
    let mut pause = FIRST_PAUSE;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let left = end.saturating_duration_since(Instant::now());
        let mut request = client.get(url.clone()).timeout(left);
        if let (Some(user), Some(password)) = (&args.user, password) {
            request = request.basic_auth(user, Some(password.expose_secret()));
        }
        let failure = match send(request, url).await {
            Ok(status) => return Ok(status),
            Err(failure) => failure,
        };
        if !args.retry || !failure.may_pass {
            return Err(failure.error);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left <= pause {
            let told = format!("gave up after {} s and {attempts} attempts", args.timeout);
            return Err(failure.error.context(told));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn send(request: reqwest::RequestBuilder, url: &Url) -> Result<http::StatusCode, Failure> {
    let answer = request.send().await.map_err(|error| {
        // It would tell the URL once more.
        let error = anyhow::Error::new(error.without_url());
        Failure {
            may_pass: is_refused(&error),
            error: error.context(format!("no answer from {url}")),
        }
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(status);
    }
    let body = read_capped(reqwest::Body::from(answer), MAX_ANSWER_BYTES).await;
    let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
    let said = body.unwrap_or_default();
    let said = said.lines().next().unwrap_or_default().trim();
    Err(Failure {
        error: anyhow!("{url} answered {status}: {}", said.escape_debug()),
        may_pass: status == http::StatusCode::SERVICE_UNAVAILABLE,
    })
}

/// Whether nobody listens.
fn is_refused(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause: &io::Error| cause.kind() == io::ErrorKind::ConnectionRefused)
}
