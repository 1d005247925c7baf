//! Any text is a config or a list of problems, each of which fits into its line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vod_callback_exporter::config::{Config, ConfigError};

fuzz_target!(|text: &str| {
    if let Err(ConfigError::Invalid { problems, .. }) = Config::parse("fuzz.yaml", text, None) {
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(!problem.text.contains(['\n', '\r']), "{problem:?}");
        }
    }
});
