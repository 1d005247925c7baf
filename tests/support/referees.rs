//! Where the real servers and SDKs are that judge us.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that `make tools` fills.
pub(crate) struct Referees(PathBuf);

impl Referees {
    /// `None`, with a printed reason, under plain `cargo test`; `make test` names the folder, and
    /// from then on a missing tool is a failure.
    pub(crate) fn find() -> Option<Self> {
        let found = std::env::var_os("VOD_REFEREES").map(|folder| Self(folder.into()));
        if found.is_none() {
            eprintln!("skipped: VOD_REFEREES is not set; `make test` sets it");
        }
        found
    }

    /// A command that runs a script of `tests/referees`, which has the vendor's SDK for its language.
    pub(crate) fn script(&self, path: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/referees")
            .join(path);
        let mut command = if path.starts_with("node/") {
            let mut node = Command::new(self.tool("bin/node"));
            node.env("NODE_PATH", self.tool("node/node_modules"));
            node
        } else {
            Command::new(self.tool("python/bin/python"))
        };
        command.arg(script);
        command
    }

    /// The paths of a server's tool, and of a newer one if there is one.
    pub(crate) fn tools(&self, name: &str) -> Vec<PathBuf> {
        let own = self.tool(&format!("bin/{name}"));
        std::iter::once(own).chain(self.newer(name)).collect()
    }

    /// The path of a newer tool in `.tools/newer/bin`, if somebody has put it there.
    pub(crate) fn newer(&self, name: &str) -> Option<PathBuf> {
        let newer = self.0.join("newer/bin").join(name);
        newer.exists().then_some(newer)
    }

    /// The path of a tool, which must be there.
    pub(crate) fn tool(&self, path: &str) -> PathBuf {
        let tool = self.0.join(path);
        assert!(
            tool.exists(),
            "{} is missing. Run: make tools",
            tool.display()
        );
        tool
    }
}
