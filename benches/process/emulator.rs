//! An emulated MNS whose queues a simulated platform has filled.

use std::io::Write as _;
use std::time::Duration;

use vod_callback_exporter::emulator::scenario::{Platform, Settings};
use vod_callback_exporter::emulator::{AttributesPatch, Behaviour, Options, Server};

pub(crate) const ROLE: &str = "emulator";
pub(crate) const ACCESS_KEY_ID: &str = "bench-id";
pub(crate) const ACCESS_KEY_SECRET: &str = "bench-secret";
/// Longer than any run: no message comes twice.
const VISIBILITY_TIMEOUT_SECS: u32 = 3_600;

pub(crate) fn queue(number: usize) -> String {
    format!("callbacks-{number:04}")
}

/// Serves until killed. Prints `Listening on HOST:PORT` and then how many messages there are.
pub(crate) fn serve(queues: usize, messages: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let address = "127.0.0.1:0".parse().expect("an address");
        let options = Options::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET);
        let server = Server::bind(address, options).expect("a free port");
        let pushed = fill(&server, queues, messages);
        println!("Listening on {} {pushed}", server.local_addr());
        std::io::stdout().flush().expect("a reader");
        server.run(std::future::pending()).await;
    });
}

fn fill(server: &Server, queues: usize, messages: usize) -> usize {
    let emulator = server.handle();
    // The platform has bodies that are too large on purpose.
    emulator.set_behaviour(Behaviour {
        limit_message_size: false,
        ..Behaviour::default()
    });
    let names: Vec<String> = (0..queues).map(queue).collect();
    let patch = AttributesPatch {
        visibility_timeout: Some(VISIBILITY_TIMEOUT_SECS),
        ..AttributesPatch::default()
    };
    for name in &names {
        emulator.create_queue(name, &patch).expect("a queue");
    }
    let settings = Settings {
        queues: names,
        ..Settings::default()
    };
    let start = emulator.now().minus(Duration::from_hours(24));
    let mut platform = Platform::new(settings, 1, start);
    let mut pushed = 0;
    while pushed < messages {
        let due = platform.next_due().expect("a platform never rests");
        for push in platform.step(due) {
            emulator.send(&push.queue, &push.body).expect("a queue");
            pushed += 1;
        }
    }
    pushed
}
