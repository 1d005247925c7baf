//! One file per subcommand.

pub mod emulate;
