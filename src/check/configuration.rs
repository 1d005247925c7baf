//! The config file, or the flags.

use super::{Area, Report, split};
use crate::config::{Config, ConfigError, Place, Problem};

/// What a config without problems says.
pub(super) fn good(config: &Config, origin: &str, report: &mut Report) {
    let count = |number: usize, one: &str, many: &str| {
        let noun = if number == 1 { one } else { many };
        format!("{number} {noun}")
    };
    let (queues, prefixes) = (config.queues.len(), config.discoveries.len());
    let found = format!(
        "{} and {}",
        count(queues, "queue", "queues"),
        count(prefixes, "prefix", "prefixes")
    );
    report.ok(Area::Config, origin, found);
    for warning in &config.warnings {
        let (found, remedy) = told(warning);
        report.warn(
            Area::Config,
            &subject(origin, &warning.place),
            found,
            remedy,
        );
    }
}

/// A report on a config that cannot be used.
pub fn problems(error: &ConfigError) -> Report {
    let mut report = Report::default();
    match error {
        ConfigError::Invalid { origin, problems } => {
            for problem in problems {
                let (found, remedy) = told(problem);
                let subject = subject(origin, &problem.place);
                report.fail(area(&problem.place), &subject, found, remedy);
            }
        }
        ConfigError::Unreadable { path, .. }
        | ConfigError::TooLarge { path }
        | ConfigError::NotText { path } => {
            let (found, remedy) = split(&error.to_string());
            let remedy = remedy.unwrap_or_default();
            report.fail(Area::Config, &path.display().to_string(), found, remedy);
        }
    }
    report.skip(
        Area::Connection,
        "everything else",
        "nobody is asked before the config is good",
    );
    report
}

/// A report on flags that cannot be used together.
pub fn unusable(problem: &str) -> Report {
    let mut report = Report::default();
    let (found, remedy) = split(problem);
    report.fail(
        Area::Config,
        "command line",
        found,
        remedy.unwrap_or_default(),
    );
    report
}

fn told(problem: &Problem) -> (String, String) {
    let (found, remedy) = split(&problem.text);
    let remedy = remedy.unwrap_or_else(|| match problem.place.path.as_str() {
        "" => "correct it; docs/config.md has every option".to_owned(),
        path => format!("correct {path}; docs/config.md has every option"),
    });
    (found, remedy)
}

fn subject(origin: &str, place: &Place) -> String {
    let origin = match place.line {
        Some(line) => format!("{origin}:{line}"),
        None => origin.to_owned(),
    };
    match place.path.as_str() {
        "" => origin,
        path => format!("{origin} {path}"),
    }
}

fn area(place: &Place) -> Area {
    let mut keys = place.path.rsplit('.');
    let key = keys.next().unwrap_or_default();
    match place.path.starts_with("accounts.") {
        true if key.starts_with("access_key_") || key.starts_with("security_token") => {
            Area::Secrets
        }
        true if key == "credentials" => Area::Credentials,
        true if key == "ca_file" => Area::Tls,
        _ => Area::Config,
    }
}
