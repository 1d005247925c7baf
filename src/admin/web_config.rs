//! The web config at work: read again whenever it or a file that it names has changed.
//!
//! Every connection and every request asks for it, which costs a `stat` of each file. A file that turned bad keeps
//! everybody out, as in all exporters of the ecosystem: serving by what was written before would be serving by rules that
//! somebody wanted changed. One state is no mistake but a rotation that is half done: a certificate and a key that do not
//! belong together. For a short time the pair before them stays in use.

mod clients;
mod stamp;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::time::Instant;
use tracing::{error, info, warn};

use self::stamp::Stamps;
use crate::clock;
use crate::config::web::WebConfig;
use crate::config::{ConfigError, Place, Problem};
use crate::outage::{Outage, Say};

/// For how long a certificate may wait for its key.
const HALF_ROTATED: Duration = Duration::from_secs(10);

/// What holds for connections and requests now.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) config: WebConfig,
    /// None for plain HTTP.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// A web config file and what it said last.
#[derive(Debug)]
pub struct WebFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stamps: Stamps,
    current: Result<Arc<Rules>, Arc<ConfigError>>,
    /// What was good last.
    good: Arc<Rules>,
    half_rotated_since: Option<Instant>,
    outage: Outage,
    /// What the log said last of a bad file.
    said: String,
}

/// What one reading brought.
struct Reading {
    stamps: Stamps,
    outcome: Result<Rules, Bad>,
}

/// Why there are no rules.
struct Bad {
    error: ConfigError,
    /// Nothing else is wrong but that the certificate and the key are not of one pair.
    half_rotated: bool,
}

/// What a good file says, in short.
#[derive(Debug)]
pub struct Checked {
    /// Whether connections are encrypted.
    pub tls: bool,
    /// How many users there are; 0 lets everybody in.
    pub users: usize,
    /// What deserves a look.
    pub warnings: Vec<Problem>,
}

/// Checks a file and the certificates and keys that it names.
pub fn check(path: &Path) -> Result<Checked, ConfigError> {
    let rules = Reading::of(path).outcome.map_err(|bad| bad.error)?;
    Ok(Checked {
        tls: rules.tls.is_some(),
        users: rules.config.users.len(),
        warnings: rules.config.warnings,
    })
}

// === impl WebFile ===

impl WebFile {
    /// Reads the file, which must be good at the start.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let reading = Reading::of(path);
        let rules = Arc::new(reading.outcome.map_err(|bad| bad.error)?);
        say_warnings(&rules.config);
        let state = State {
            stamps: reading.stamps,
            current: Ok(Arc::clone(&rules)),
            good: rules,
            half_rotated_since: None,
            outage: Outage::default(),
            said: String::new(),
        };
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// Whether connections are encrypted by what the file said at first.
    pub fn is_tls(&self) -> bool {
        self.state().good.tls.is_some()
    }

    /// The rules that hold now; an error has been logged.
    pub(super) async fn rules(&self) -> Result<Arc<Rules>, Arc<ConfigError>> {
        let is_fresh = {
            let state = self.state();
            state.half_rotated_since.is_none() && state.stamps.are_fresh()
        };
        if !is_fresh {
            let path = self.path.clone();
            // A thread that panicked has read nothing, and the next request reads again.
            if let Ok(reading) = tokio::task::spawn_blocking(move || Reading::of(&path)).await {
                self.state().take(reading, &self.path, Instant::now());
            }
        }
        let mut state = self.state();
        if let Err(error) = state.current.clone() {
            state.remind(&error, Instant::now());
        }
        state.current.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn take(&mut self, reading: Reading, path: &Path, now: Instant) {
        let outcome = reading
            .outcome
            .and_then(|rules| self.no_downgrade(rules, path));
        let is_news = !reading.stamps.is_same(&self.stamps) || self.current.is_err();
        self.stamps = reading.stamps;
        let bad = match outcome {
            Ok(rules) => {
                if is_news {
                    say_warnings(&rules.config);
                    info!(path = %path.display(), "The web config is in force.");
                }
                self.half_rotated_since = None;
                self.outage = Outage::default();
                self.said.clear();
                self.good = Arc::new(rules);
                self.current = Ok(Arc::clone(&self.good));
                return;
            }
            Err(bad) => bad,
        };
        if bad.half_rotated && self.current.is_ok() {
            let since = *self.half_rotated_since.get_or_insert(now);
            if now.duration_since(since) < HALF_ROTATED {
                return;
            }
        }
        self.half_rotated_since = None;
        self.current = Err(Arc::new(bad.error));
    }

    /// A file that no longer asks for TLS, perhaps since it is just being written, must not have passwords sent in the
    /// clear.
    fn no_downgrade(&self, rules: Rules, path: &Path) -> Result<Rules, Bad> {
        if self.good.tls.is_none() || rules.tls.is_some() {
            return Ok(rules);
        }
        let problem = Place::default().problem(
            "found no TLS, which was there at the start; add it again, or restart the exporter to serve plain HTTP",
        );
        Err(Bad::of(path, vec![problem], false))
    }

    /// Logs why everybody is kept out: at once, when the reason changes, and once an hour.
    fn remind(&mut self, error: &ConfigError, now: Instant) {
        let text = error.to_string();
        if text != self.said {
            self.outage = Outage::default();
            self.said = text;
        }
        if let Some(Say::Fails(lasting)) = self.outage.note(Some(error.kind()), now) {
            error!(
                kind = error.kind(),
                lasting_seconds = lasting.as_secs(),
                %error,
                "The web config is bad: connections and requests are refused until it is corrected."
            );
        }
    }
}

// === impl Reading ===

impl Reading {
    fn of(path: &Path) -> Self {
        // What changes while it is read has another stamp next time.
        let mut stamps = Stamps::of(path, clock::now());
        let outcome = match WebConfig::load(path) {
            Ok(config) => {
                for file in config.files() {
                    stamps.add(file);
                }
                rules(config, path)
            }
            Err(error) => Err(Bad {
                error,
                half_rotated: false,
            }),
        };
        Self { stamps, outcome }
    }
}

fn rules(config: WebConfig, path: &Path) -> Result<Rules, Bad> {
    let tls = match &config.tls {
        None => None,
        Some(tls) => {
            let built = tls::server_config(tls);
            Some(built.map_err(|trouble| Bad::of(path, trouble.problems, trouble.half_rotated))?)
        }
    };
    Ok(Rules { config, tls })
}

fn say_warnings(config: &WebConfig) {
    for warning in &config.warnings {
        warn!(
            path = %warning.place.path,
            line = warning.place.line,
            warning = %warning.text,
            "The web config has something that deserves a look."
        );
    }
}

// === impl Bad ===

impl Bad {
    fn of(path: &Path, problems: Vec<Problem>, half_rotated: bool) -> Self {
        Self {
            error: ConfigError::invalid(&path.display().to_string(), problems),
            half_rotated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn rotate(&self) -> impl Fn() {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            self.write("a.pem", &pair.cert.pem());
            let path = self.0.path().join("a.key");
            move || std::fs::write(&path, pair.signing_key.serialize_pem()).unwrap()
        }
    }

    fn tls() -> (Files, WebFile) {
        let files = Files(tempfile::tempdir().unwrap());
        files.rotate()();
        let text = "tls_server_config: {cert_file: a.pem, key_file: a.key}\n";
        files.write("web.yaml", text);
        let file = WebFile::open(&files.0.path().join("web.yaml")).unwrap();
        (files, file)
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_waits_for_its_key_for_a_while() {
        let (files, file) = tls();
        let before = Arc::clone(&file.state().good);
        let finish = files.rotate();
        let between = file.rules().await.unwrap();
        assert!(Arc::ptr_eq(&before, &between));
        tokio::time::advance(HALF_ROTATED / 2).await;
        assert!(file.rules().await.is_ok());
        tokio::time::advance(HALF_ROTATED / 2).await;
        let error = file.rules().await.unwrap_err().to_string();
        assert!(error.contains("not of the certificate"), "{error}");
        finish();
        assert!(file.rules().await.is_ok());
    }

    #[tokio::test]
    async fn what_changes_in_the_tick_of_the_clock_in_which_it_was_read_is_seen() {
        let files = Files(tempfile::tempdir().unwrap());
        let rate = |burst: u32| format!("rate_limit: {{interval: 1s, burst: {burst}}}\n");
        files.write("web.yaml", &rate(1));
        let file = WebFile::open(&files.0.path().join("web.yaml")).unwrap();
        for burst in (1..9).chain(1..9) {
            files.write("web.yaml", &rate(burst));
            let rules = file.rules().await.unwrap();
            assert_eq!(rules.config.rate_limit.unwrap().burst, burst);
        }
    }
}
