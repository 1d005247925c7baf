//! A memory cgroup with a limit, of either version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Longer than a killed process takes to leave its cgroup.
const DEADLINE: Duration = Duration::from_secs(10);

/// A cgroup for one process; removed on drop, when the process has ended.
pub(crate) struct MemoryLimit {
    path: PathBuf,
    is_unified: bool,
}

impl MemoryLimit {
    /// Below the cgroup of this process. The error says what stands in the way.
    pub(crate) fn new(name: &str, bytes: u64) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let root = Path::new("/sys/fs/cgroup");
        let place = |line: &str| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers) = (fields.next()?, fields.next()?);
            let path = fields.next()?.trim_start_matches('/');
            if controllers.split(',').any(|name| name == "memory") {
                return Some((root.join("memory").join(path), false));
            }
            let controllers = fs::read_to_string(root.join("cgroup.controllers")).ok()?;
            let has_memory = controllers.split_whitespace().any(|name| name == "memory");
            has_memory.then(|| (root.join(path), true))
        };
        let Some((parent, is_unified)) = own.lines().find_map(place) else {
            return Err("no memory controller is mounted under /sys/fs/cgroup".to_owned());
        };
        let path = parent.join(name);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        fs::create_dir(&path).map_err(failed)?;
        let limit = Self { path, is_unified };
        let file = if is_unified {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        let file = limit.path.join(file);
        fs::write(&file, bytes.to_string())
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(limit)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The most that was used, and how many processes were killed for using more.
    pub(crate) fn usage(&self) -> (Option<u64>, u64) {
        let (peak, events) = if self.is_unified {
            ("memory.peak", "memory.events")
        } else {
            ("memory.max_usage_in_bytes", "memory.oom_control")
        };
        let read = |file| fs::read_to_string(self.path.join(file)).ok();
        let killed = read(events).and_then(|text| {
            let mut lines = text.lines();
            let line = lines.find_map(|line| line.strip_prefix("oom_kill "))?;
            line.trim().parse().ok()
        });
        // Older kernels keep no peak, but all count who was killed.
        let killed = killed.expect("the kernel counts processes that were killed");
        (read(peak).and_then(|text| text.trim().parse().ok()), killed)
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        while let Err(error) = fs::remove_dir(&self.path) {
            if Instant::now() > deadline {
                eprintln!("{} stays behind: {error}", self.path.display());
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
