//! The exporter as its users run it: the binary, a config file, files with secrets.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;
use super::world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET};

/// In the file `token`.
pub(crate) const TOKEN: &str = "token-of-temporary-credentials";

/// A running exporter; gone on drop.
pub(crate) struct Exporter {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    directory: TempDir,
}

/// The accounts of every config: `main` has the emulator's key in files.
const ACCOUNTS: &str =
    "accounts:\n  main: {access_key_id_file: id, access_key_secret_file: secret}\n";

/// A directory with a config file and the files that it names.
pub(crate) fn directory(config: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("vod.yaml", &format!("{ACCOUNTS}{config}"));
    write("id", ACCESS_KEY_ID);
    write("secret", ACCESS_KEY_SECRET);
    write("token", TOKEN);
    directory
}

/// `run` with the config of a directory, in an empty environment.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    command
        .env_clear()
        .arg("run")
        .arg(format!(
            "--config.file={}",
            directory.join("vod.yaml").display()
        ))
        .args(arguments);
    command
}

impl Exporter {
    /// Starts one with this config, which follows the accounts, at the most talkative level.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, &[], &[])
    }

    /// The same beside these files, with these further arguments, in which `{dir}` is the directory of the files.
    pub(crate) fn start_with(config: &str, files: &[(&str, &str)], further: &[&str]) -> Self {
        let directory = directory(config);
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let root = directory.path().display().to_string();
        let further: Vec<String> = further
            .iter()
            .map(|argument| argument.replace("{dir}", &root))
            .collect();
        let mut arguments = vec!["--web.listen-address=127.0.0.1:0", "--log.level=trace"];
        arguments.extend(further.iter().map(String::as_str));
        let mut process = Process::start(command(directory.path(), &arguments));
        let address = process.listening_on("Listening.");
        Self {
            process,
            address,
            directory,
        }
    }

    /// Replaces a file, at once as those who rotate files should.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let next = self.path(".next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.path(name)).unwrap();
    }

    /// Replaces the config, which follows the accounts; it is read again only when somebody asks for it.
    pub(crate) fn configure(&self, config: &str) {
        self.write("vod.yaml", &format!("{ACCOUNTS}{config}"));
    }

    /// The path of a file of the exporter.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
