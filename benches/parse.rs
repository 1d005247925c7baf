//! Parsing benchmarks.

fn main() {}
