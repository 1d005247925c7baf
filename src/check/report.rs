//! What was found, and how it is told.

use std::fmt;
use std::io;

use serde::Serialize;

/// A part of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// The config file, or the flags.
    Config,
    /// Files and variables that hold secrets.
    Secrets,
    /// Names of hosts.
    Dns,
    /// The way to a service.
    Connection,
    /// Certificates.
    Tls,
    /// The local clock.
    Clock,
    /// Where credentials come from, and whether they are accepted.
    Credentials,
    /// Whose credentials they are.
    Identity,
    /// The queue.
    Queue,
    /// What the credentials may do.
    Permissions,
    /// The role by which VOD writes into queues.
    Role,
    /// Which callbacks VOD sends, and where to.
    Callback,
    /// Whether the queue's region goes with VOD's.
    Region,
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it must be.
    Ok,
    /// It works, and deserves a look.
    Warn,
    /// It does not work.
    Fail,
    /// It was not looked at.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is a part of.
    pub area: Area,
    /// What exactly: a file, a host, an account, a queue.
    pub subject: String,
    /// How it is.
    pub status: Status,
    /// What was found; never a secret.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Json<'a> {
    ok: usize,
    warn: usize,
    fail: usize,
    skipped: usize,
    findings: &'a [Finding],
}

// === impl Area ===

impl Area {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Secrets => "secrets",
            Self::Dns => "dns",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Clock => "clock",
            Self::Credentials => "credentials",
            Self::Identity => "identity",
            Self::Queue => "queue",
            Self::Permissions => "permissions",
            Self::Role => "role",
            Self::Callback => "callback",
            Self::Region => "region",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Status ===

impl Status {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Report ===

impl Report {
    /// How many findings have this status.
    pub fn count(&self, status: Status) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.status == status)
            .count()
    }

    /// One line for each finding, a second one for what to do, and a sum.
    pub fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let width = |text: fn(&Finding) -> &str| {
            let widths = self.findings.iter().map(|it| text(it).chars().count());
            widths.max().unwrap_or_default()
        };
        let (area, subject) = (width(|it| it.area.as_str()), width(|it| &it.subject));
        for finding in &self.findings {
            writeln!(
                out,
                "{:<7}  {:<area$}  {:<subject$}  {}",
                finding.status, finding.area, finding.subject, finding.found
            )?;
            if let Some(remedy) = &finding.remedy {
                writeln!(out, "{:<7}  -> {remedy}", "")?;
            }
        }
        writeln!(
            out,
            "{} checks: {} ok, {} to look at, {} failed, {} skipped",
            self.findings.len(),
            self.count(Status::Ok),
            self.count(Status::Warn),
            self.count(Status::Fail),
            self.count(Status::Skipped)
        )
    }

    /// The same for programs.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&Json {
            ok: self.count(Status::Ok),
            warn: self.count(Status::Warn),
            fail: self.count(Status::Fail),
            skipped: self.count(Status::Skipped),
            findings: &self.findings,
        })
    }

    pub(super) fn ok(&mut self, area: Area, subject: &str, found: impl Into<String>) {
        self.push(area, subject, Status::Ok, found.into(), None);
    }

    pub(super) fn warn(
        &mut self,
        area: Area,
        subject: &str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let remedy = Some(remedy.into());
        self.push(area, subject, Status::Warn, found.into(), remedy);
    }

    pub(super) fn fail(
        &mut self,
        area: Area,
        subject: &str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let remedy = Some(remedy.into());
        self.push(area, subject, Status::Fail, found.into(), remedy);
    }

    /// Because of something told already.
    pub(super) fn skip(&mut self, area: Area, subject: &str, reason: impl Into<String>) {
        self.push(area, subject, Status::Skipped, reason.into(), None);
    }

    /// Because it cannot be known from here; `remedy` is how to know it.
    pub(super) fn unknown(
        &mut self,
        area: Area,
        subject: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let remedy = Some(remedy.into());
        self.push(area, subject, Status::Skipped, reason.into(), remedy);
    }

    fn push(
        &mut self,
        area: Area,
        subject: &str,
        status: Status,
        found: String,
        remedy: Option<String>,
    ) {
        self.findings.push(Finding {
            area,
            subject: subject.to_owned(),
            status,
            found,
            remedy,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_remedies_follow() {
        let mut report = Report::default();
        report.ok(Area::Config, "vod.yaml", "1 queue");
        report.fail(Area::Queue, "vod-callbacks", "is not there", "create it");
        report.skip(Area::Permissions, "vod-callbacks", "needs the queue");
        let mut out = Vec::new();
        report.print(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
ok       config       vod.yaml       1 queue
FAIL     queue        vod-callbacks  is not there
         -> create it
skipped  permissions  vod-callbacks  needs the queue
3 checks: 1 ok, 0 to look at, 1 failed, 1 skipped
"
        );
    }
}
