//! B2, B7 and B12: the program as it is shipped, in a process of its own, against its peers.
//!
//! `cargo bench --bench process -- [consume|footprint|scrape]`; `docs/performance.md` tells what was measured. The
//! emulator, the bare loop and this program itself are other roles of this binary. Needs two cores, `taskset`, and for
//! the vendor's SDK `.tools/python` (`make tools`). `EXPORTER` names another binary to measure, several separated by
//! colons to compare them.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time and takes its settings from the environment"
)]

mod child;
mod consume;
mod emulator;
mod floor;
mod footprint;
mod scrape;

use std::env;

fn main() {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [emulator::ROLE, queues, messages] => emulator::serve(count(queues), count(messages)),
        [floor::ROLE, address, connections] => floor::run(address, count(connections)),
        ["consume"] => consume::bench(),
        ["footprint"] => footprint::bench(),
        ["scrape"] => scrape::bench(),
        [] => {
            consume::bench();
            scrape::bench();
            footprint::bench();
        }
        _ => panic!("unknown arguments {args:?}, expected consume, footprint, scrape or none"),
    }
}

fn count(text: &str) -> usize {
    text.parse().expect("a number")
}

/// A number from the environment.
fn setting(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |text| count(&text))
}
