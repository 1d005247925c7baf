//! B7 over HTTP: about 10,000 series scraped from a running exporter.

use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use crate::child::{self, Emulator, Exporter, SUBJECT_CORE, cpu_nanos, exporters, get, pinned};
use crate::setting;

pub(crate) fn bench() {
    child::step_aside();
    let queues = setting("QUEUES", 42);
    for path in exporters() {
        let emulator = Emulator::start(queues, 20_000);
        let command: Command = pinned(SUBJECT_CORE, &path);
        let exporter = Exporter::start(command, &emulator.address, queues, "consume", 1);
        emulator.wait_until_empty();
        let mut stream = TcpStream::connect(&exporter.address).expect("an exporter");
        for (what, headers) in [
            ("identity", ""),
            ("gzip", "Accept-Encoding: gzip\r\n"),
            (
                "OpenMetrics, gzip",
                "Accept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n",
            ),
        ] {
            let mut scrape = || get(&mut stream, "/metrics", headers).expect("a scrape").1;
            let size = scrape().len();
            let rounds = setting("SCRAPES", 300);
            let before = cpu_nanos(exporter.id());
            let mut best = f64::MAX;
            for _ in 0..rounds {
                let begun = Instant::now();
                scrape();
                best = best.min(begun.elapsed().as_secs_f64() * 1e3);
            }
            let cpu = (cpu_nanos(exporter.id()) - before) as f64 / rounds as f64 / 1e6;
            println!(
                "B7: {what}: {size} B, best {best:.2} ms, mean CPU time of the exporter {cpu:.2} ms"
            );
        }
        let text = get(&mut stream, "/metrics", "").expect("a scrape").1;
        let series = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty() && line[0] != b'#');
        println!("B7: {} series, {path}", series.count());
    }
}
