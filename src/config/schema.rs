//! Which options a mapping has: a part of a list of options.

use super::options::{ConfigOption, OPTIONS};

/// The options of one mapping of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema {
    options: &'static [ConfigOption],
    table: &'static str,
    /// Whether a key without a value says the same as no key.
    pub(super) lenient: bool,
}

// === impl Schema ===

impl Schema {
    /// The top of a file with these options, in which nothing and empty text are no values.
    pub(super) const fn lenient(options: &'static [ConfigOption]) -> Self {
        Self {
            options,
            table: "",
            lenient: true,
        }
    }

    /// The mapping at another path of the same file.
    pub(super) const fn at(self, table: &'static str) -> Self {
        Self { table, ..self }
    }

    /// The options of the mapping, each with its own key.
    pub(super) fn options(self) -> impl Iterator<Item = (&'static str, &'static ConfigOption)> {
        let is_defaults = self.table == "defaults";
        let parent = if is_defaults { "queues[]" } else { self.table };
        self.options.iter().filter_map(move |option| {
            let (head, key) = option.path.rsplit_once('.').unwrap_or(("", option.path));
            (head == parent && (option.inherited || !is_defaults)).then_some((key, option))
        })
    }
}

impl From<&'static str> for Schema {
    /// A mapping of the config file.
    fn from(table: &'static str) -> Self {
        Self {
            options: OPTIONS,
            table,
            lenient: false,
        }
    }
}
