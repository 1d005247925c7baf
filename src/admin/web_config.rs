//! The web config at work: read again whenever it or a file that it names has changed.
//!
//! Every connection and every request asks for it, which costs a `stat` of each file. A file that turned bad keeps
//! everybody out, as in all exporters of the ecosystem: serving by what was written before would be serving by rules that
//! somebody wanted changed. Certificates and keys are no rules: while those that the same rules name cannot be used, the last
//! good ones stay in use. That is told, unless it is only a rotation that is half done.

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

/// For how long a certificate may wait for its key before that is told.
const HALF_ROTATED: Duration = Duration::from_secs(10);

const KEEPS_OUT: &str =
    "The web config is bad: connections and requests are refused until it is corrected.";
const KEEPS_LAST: &str = "Certificates or keys of the web config cannot be used: the last good ones stay in use until they are corrected.";
const OPENS_NONE: &str = "Certificates or keys of the web config cannot be used: new connections are refused until they are corrected.";

/// What holds for connections and requests now.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) config: WebConfig,
    pub(super) tls: Tls,
    /// Why the certificates and keys are not those that the files hold now; none if they are.
    trouble: Option<Arc<ConfigError>>,
}

/// How connections are encrypted.
#[derive(Clone, Debug)]
pub(super) enum Tls {
    /// They are not.
    Off,
    /// So.
    On(Arc<ServerConfig>),
    /// In a way for which there never was a usable certificate: there are no new ones.
    Unusable,
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
    tls_trouble: TlsTrouble,
    outage: Outage,
    /// What the log said last of a bad file.
    said: String,
}

/// How often certificates and keys that could not be used were found, and whether that is so now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsTrouble {
    /// Times that it began.
    pub times: u64,
    /// Whether it lasts.
    pub lasts: bool,
}

/// What one reading brought.
struct Reading {
    stamps: Stamps,
    outcome: Result<Rules, Bad>,
}

/// Why there are no rules.
struct Bad {
    error: ConfigError,
    /// What the file says, where nothing is wrong but certificates and keys.
    config: Option<Box<WebConfig>>,
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
        tls: rules.config.tls.is_some(),
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
            tls_trouble: TlsTrouble::default(),
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
        self.state().good.config.tls.is_some()
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
        let current = state.current.clone();
        match &current {
            Err(error) => state.remind(error, KEEPS_OUT, Instant::now()),
            Ok(rules) => {
                if let Some(error) = &rules.trouble {
                    let consequence = match rules.tls {
                        Tls::Unusable => OPENS_NONE,
                        _ => KEEPS_LAST,
                    };
                    state.remind(error, consequence, Instant::now());
                }
            }
        }
        current
    }

    /// How certificates and keys fared.
    pub(super) fn tls_trouble(&self) -> TlsTrouble {
        self.state().tls_trouble
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
        let was_in_trouble = self.tls_trouble.lasts;
        let is_news =
            !reading.stamps.is_same(&self.stamps) || self.current.is_err() || was_in_trouble;
        self.stamps = reading.stamps;
        let bad = match outcome {
            Ok(rules) => {
                if is_news {
                    say_warnings(&rules.config);
                    info!(path = %path.display(), "The web config is in force.");
                }
                self.half_rotated_since = None;
                self.tls_trouble.lasts = false;
                self.outage = Outage::default();
                self.said.clear();
                self.good = Arc::new(rules);
                self.current = Ok(Arc::clone(&self.good));
                return;
            }
            Err(bad) => bad,
        };
        if bad.half_rotated && self.current.is_ok() && !was_in_trouble {
            let since = *self.half_rotated_since.get_or_insert(now);
            if now.duration_since(since) < HALF_ROTATED {
                return;
            }
        }
        self.half_rotated_since = None;
        let error = Arc::new(bad.error);
        let Some(config) = bad.config else {
            self.tls_trouble.lasts = false;
            self.current = Err(error);
            return;
        };
        if !was_in_trouble {
            self.tls_trouble.times += 1;
            self.tls_trouble.lasts = true;
        }
        let is_same = match (&config.tls, &self.good.config.tls) {
            (Some(tls), Some(good)) => tls.is_same(good),
            _ => false,
        };
        let tls = if is_same {
            self.good.tls.clone()
        } else {
            Tls::Unusable
        };
        self.current = Ok(Arc::new(Rules {
            config: *config,
            tls,
            trouble: Some(error),
        }));
    }

    /// A file that no longer asks for TLS, perhaps since it is just being written, must not have passwords sent in the
    /// clear.
    fn no_downgrade(&self, rules: Rules, path: &Path) -> Result<Rules, Bad> {
        if self.good.config.tls.is_none() || rules.config.tls.is_some() {
            return Ok(rules);
        }
        let problem = Place::default().problem(
            "found no TLS, which was there at the start; add it again, or restart the exporter to serve plain HTTP",
        );
        Err(Bad {
            error: ConfigError::invalid(&path.display().to_string(), vec![problem]),
            config: None,
            half_rotated: false,
        })
    }

    /// Logs what is wrong and what comes of it: at once, when the reason changes, and once an hour.
    fn remind(&mut self, error: &ConfigError, consequence: &str, now: Instant) {
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
                "{consequence}"
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
                config: None,
                half_rotated: false,
            }),
        };
        Self { stamps, outcome }
    }
}

fn rules(config: WebConfig, path: &Path) -> Result<Rules, Bad> {
    let tls = match config.tls.as_ref().map(tls::server_config) {
        None => Tls::Off,
        Some(Ok(tls)) => Tls::On(tls),
        Some(Err(trouble)) => {
            return Err(Bad {
                error: ConfigError::invalid(&path.display().to_string(), trouble.problems),
                config: Some(Box::new(config)),
                half_rotated: trouble.half_rotated,
            });
        }
    };
    Ok(Rules {
        config,
        tls,
        trouble: None,
    })
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
        assert_eq!(file.tls_trouble().times, 0);
        // Afterwards it still waits, and that is told.
        let rules = file.rules().await.unwrap();
        let (Tls::On(now), Tls::On(first)) = (&rules.tls, &before.tls) else {
            panic!("{rules:?}");
        };
        assert!(Arc::ptr_eq(now, first));
        let error = rules.trouble.as_ref().unwrap().to_string();
        assert!(error.contains("not of the certificate"), "{error}");
        let lasting = TlsTrouble {
            times: 1,
            lasts: true,
        };
        assert_eq!(file.tls_trouble(), lasting);
        finish();
        assert!(file.rules().await.unwrap().trouble.is_none());
        assert!(!file.tls_trouble().lasts);
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
