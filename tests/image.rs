//! The container image: what is in it, and that it runs as a cluster would run it, in little memory.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests panic and print"
)]

#[path = "support/memory_limit.rs"]
mod memory_limit;
#[path = "support/process.rs"]
mod process;
#[path = "support/referees.rs"]
mod referees;
#[path = "support/scrape.rs"]
mod scrape;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use memory_limit::MemoryLimit;
use process::Process;
use referees::Referees;
use scrape::Scrape;
use serde_json::{Value, json};
use tempfile::TempDir;

const USER: u32 = 65_532;
const MEMORY: u64 = 32 << 20;
const SIZE: u64 = 12_000_000;
/// Of a program header.
const INTERPRETER: u32 = 3;
/// For the emulated platform to push, and the exporter to see.
const PATIENCE: Duration = Duration::from_mins(1);

/// The files of the image, and how it is started where a builder was there to say.
struct Image {
    root: PathBuf,
    settings: Option<Value>,
}

/// What the image is given: folders in the places of mounted volumes.
struct Volumes(TempDir);

impl Image {
    /// Built anew, which takes no time after `make test` has done it.
    fn build() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/image/root");
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/image"));
        script.arg(format!("--root={}", root.display()));
        // What cargo tells a test would make it build things again.
        let told = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in told.filter(|name| name.starts_with("CARGO_") && name != "CARGO_HOME") {
            script.env_remove(name);
        }
        let output = script.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        eprintln!("{}", text.lines().last().unwrap_or_default());
        let told = fs::read_to_string(root.with_extension("json")).ok();
        let settings = told.map(|text| {
            let told: Value = serde_json::from_str(&text).unwrap();
            // Buildah's place, else that of Docker and Podman.
            let places = ["/Docker/config", "/0/Config"];
            let mut found = places.iter().filter_map(|place| told.pointer(place));
            let mut settings = found.next().expect("the image's settings").clone();
            // Podman has it beside them.
            if let Some(check) = told.pointer("/0/Healthcheck") {
                settings["Healthcheck"] = check.clone();
            }
            settings
        });
        Self { root, settings }
    }

    /// All files and folders, as paths from the root.
    fn files(&self) -> BTreeMap<String, fs::Metadata> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = path.symlink_metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(path.clone());
                }
                let name = path.strip_prefix(&self.root).unwrap();
                found.insert(name.display().to_string(), metadata);
            }
        }
        found
    }

    /// A command of the image, contained.
    fn command(&self, volumes: &Volumes, limit: Option<&MemoryLimit>, command: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image/contain");
        let mut contained = Command::new(script);
        contained
            .args([&self.root, &volumes.path("etc"), &volumes.path("state")])
            .arg(limit.map_or(Path::new("-"), MemoryLimit::path))
            .args([
                "ALIBABA_CLOUD_ACCESS_KEY_ID=demo-access-key-id",
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET=demo-access-key-secret",
                "--",
                "/vod-callback-exporter",
            ])
            .args(command);
        contained
    }
}

impl Volumes {
    fn new(config: &str) -> Self {
        let volumes = Self(tempfile::tempdir().unwrap());
        let everybody = fs::Permissions::from_mode(0o755);
        fs::set_permissions(volumes.0.path(), everybody).unwrap();
        for folder in ["etc", "state"] {
            fs::create_dir(volumes.path(folder)).unwrap();
        }
        chown(volumes.path("state"), Some(USER), Some(USER)).unwrap();
        fs::write(volumes.path("etc/vod.yaml"), config).unwrap();
        volumes
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_is_small_and_runs_read_only_without_capabilities_in_32_mib() {
    let Some(referees) = Referees::find() else {
        return;
    };
    succeeds(Command::new(referees.tool("charts/python/bin/hadolint")).arg("Dockerfile"));
    let image = Image::build();
    assert_holds_little(&image);
    if let Some(refused) = cannot_contain() {
        eprintln!("skipped: the image is not run, which needs root and mounts: {refused}");
        return;
    }
    // What a runtime does for the volumes that it mounts.
    fs::create_dir_all(image.root.join("etc")).unwrap();

    let (_demo, emulator) = demo();
    let volumes = Volumes::new(&format!(
        "defaults: {{endpoint: \"http://{emulator}\", tick: 10s}}\n\
         queues: [{{name: vod-callbacks}}, {{name: vod-callbacks-worker}}, {{name: vod-dead-letters, role: dead_letter}}]\n"
    ));
    let name = format!("vod-callback-exporter-test-{}", std::process::id());
    let limit = MemoryLimit::new(&name, MEMORY)
        .map_err(|reason| eprintln!("no memory limit is set, only looked at: {reason}"))
        .ok();
    let command = image.command(
        &volumes,
        limit.as_ref(),
        &[
            "run",
            "--config.file=/etc/vod.yaml",
            "--state.path=/var/lib/vod-callback-exporter",
            "--web.listen-address=127.0.0.1:0",
        ],
    );
    let mut exporter = Process::start(command);
    let address = exporter.listening_on("Listening.");
    let status = contained_status(exporter.id());
    for (field, expected) in [
        ("Name", "vod-callback-ex"),
        ("Uid", "65532\t65532\t65532\t65532"),
        ("Gid", "65532\t65532\t65532\t65532"),
        ("Groups", ""),
        ("NoNewPrivs", "1"),
        ("CapEff", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
    ] {
        assert_eq!(status[field], expected, "{field}");
    }
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", exporter.id())).unwrap();
    if limit.is_some() {
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", exporter.id())).unwrap();
        assert!(cgroup.contains(&name), "{cgroup}");
    }
    // As the process sees it, from its root.
    for (place, options) in [
        ("/", "ro"),
        ("/etc", "ro"),
        ("/var/lib/vod-callback-exporter", "rw"),
    ] {
        let mut places = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            (fields.next()? == place).then(|| fields.nth(1))?
        });
        let found = places
            .next()
            .unwrap_or_else(|| panic!("no {place} in {mounts}"));
        assert!(found.split(',').any(|option| option == options), "{mounts}");
    }

    wait_for_events(&mut exporter, address).await;
    let probe = format!("http://{address}/-/ready");
    succeeds(&mut image.command(&volumes, None, &["probe", &probe]));
    assert!(volumes.path("state/state.redb").exists());

    let peak = contained_status(exporter.id())["VmHWM"].clone();
    let peak: u64 = peak.trim_end_matches(" kB").trim().parse().unwrap();
    eprintln!("resident at most {peak} kB");
    assert!(peak << 10 < MEMORY, "{peak} kB");
    exporter.terminate();
    let (code, printed) = exporter.finish();
    assert_eq!(code, Some(0), "{printed:?}");
    if let Some(limit) = &limit {
        let (used, killed) = limit.usage();
        eprintln!("limited to {MEMORY} bytes; with cached files it used {used:?}");
        assert_eq!(killed, 0);
    }
    drop(exporter);
}

/// A machine as the scripts see it: the tools that they call, a Rust of our making, and a checkout that builds disturb nobody in.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        fs::create_dir(machine.0.path().join("bin")).unwrap();
        for tool in [
            "bash", "chmod", "cp", "dirname", "env", "head", "mkdir", "rm", "sed", "tail", "tr",
            "uname",
        ] {
            let mut places = ["/usr/bin", "/bin"].map(Path::new).into_iter();
            let place = places.find(|place| place.join(tool).exists()).unwrap();
            symlink(place.join(tool), machine.0.path().join("bin").join(tool)).unwrap();
        }
        fs::create_dir(machine.0.path().join("scripts")).unwrap();
        for file in ["scripts/image", "scripts/release", "Cargo.toml"] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            fs::copy(source, machine.0.path().join(file)).unwrap();
        }
        let sysroot = machine.0.path().display().to_string();
        machine.has(
            "bin/rustc",
            &format!(
                "case $1 in -vV) echo host: x86_64-unknown-linux-gnu ;; *) echo {sysroot} ;; esac"
            ),
        );
        machine
    }

    /// Puts a script there.
    fn has(&self, path: &str, script: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, script: &str, arguments: &[&str]) -> std::process::Output {
        Command::new(self.0.path().join(script))
            .args(arguments)
            .env_clear()
            .env("PATH", self.0.path().join("bin"))
            .output()
            .unwrap()
    }

    /// What it says when it refuses.
    fn refusal(&self, script: &str, arguments: &[&str]) -> String {
        let output = self.run(script, arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn what_another_architecture_needs_is_named_and_then_used() {
    let machine = Machine::new();
    let root = format!("--root={}", machine.0.path().join("root").display());
    let needs = [
        "rustup target add aarch64-unknown-linux-musl",
        "rust-lld",
        "apt-get install gcc-aarch64-linux-gnu",
        "libc6-dev-arm64-cross",
    ];
    let found = |said: &str| needs.map(|need| said.contains(need));
    let said = machine.refusal("scripts/image", &["--arch=arm64", &root]);
    assert_eq!(found(&said), [true, true, true, true], "{said}");
    assert!(said.contains("for aarch64 on this machine there is missing:"));

    machine.has("lib/rustlib/aarch64-unknown-linux-musl/lib/std", "");
    machine.has("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld", "");
    let said = machine.refusal("scripts/image", &["--arch=arm64", &root]);
    assert_eq!(found(&said), [false, false, true, true], "{said}");

    // Debian only recommends the headers.
    machine.has("bin/aarch64-linux-gnu-gcc", "exit 1");
    let said = machine.refusal("scripts/image", &["--arch=arm64", &root]);
    assert_eq!(found(&said), [false, false, false, true], "{said}");

    machine.has("bin/aarch64-linux-gnu-gcc", "");
    machine.has("bin/cargo", "echo \"$@\"; env");
    let output = machine.run("scripts/release", &["aarch64"]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    for line in [
        "build --release --locked --target aarch64-unknown-linux-musl",
        "CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS=-C target-feature=+crt-static",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    let binary = "target/aarch64-unknown-linux-musl/release/vod-callback-exporter";
    assert_eq!(told.lines().last(), Some(binary));

    // Of the same architecture, none of it is needed.
    let output = machine.run("scripts/release", &["x86_64"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        !told.contains("rust-lld") && !told.contains("CC_"),
        "{told}"
    );
    let unknown = machine.run("scripts/image", &["--arch=riscv64"]);
    assert_eq!(unknown.status.code(), Some(64));
}

/// What the other architecture is built with, tried on a program that takes no minutes: one call, of C.
#[test]
fn what_this_machine_has_for_another_architecture_links_a_static_program() {
    let (other, machine) = match std::env::consts::ARCH {
        "aarch64" => ("x86_64", 62),
        _ => ("aarch64", 183),
    };
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(
        place("c.c"),
        "#include <string.h>\nint called(void) { return 7; }\n",
    )
    .unwrap();
    let program = "unsafe extern \"C\" { safe fn called() -> i32; } fn main() { println!(\"{}\", called()); }";
    fs::write(place("main.rs"), program).unwrap();
    let target = format!("{other}-unknown-linux-musl");
    let name = target.replace('-', "_");
    let upper = name.to_uppercase();
    let cargo = format!(
        "#!/usr/bin/env bash\nset -e\ncd {}\n$CC_{name} -c -O2 -o c.o c.c\n\
         rustc --edition 2024 --target {target} -C linker=\"$CARGO_TARGET_{upper}_LINKER\" \\\n\
         $CARGO_TARGET_{upper}_RUSTFLAGS -C link-arg=c.o -o main main.rs\n",
        folder.path().display()
    );
    fs::write(place("cargo"), cargo).unwrap();
    fs::set_permissions(place("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let mut places = vec![folder.path().to_path_buf()];
    places.extend(std::env::split_paths(&path));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/release");
    let mut script = Command::new(script);
    script.arg(other);
    let output = script
        .env("PATH", std::env::join_paths(&places).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("on this machine there is missing:") {
        // It is not to say so of what is there.
        let compilers = ["musl", "gnu"].map(|library| format!("{other}-linux-{library}-gcc"));
        let is_there = |tool: &String| places.iter().any(|place| place.join(tool).exists());
        let is_named = std::env::var_os(format!("CC_{name}")).is_some();
        let has_none = !is_named && !compilers.iter().any(is_there);
        assert_eq!(said.contains("a C compiler"), has_none, "{said}");
        eprintln!("skipped: nothing is linked: {said}");
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert_static(&fs::read(place("main")).unwrap(), machine);
}

#[test]
fn docker_is_asked_for_what_it_can_build() {
    let machine = Machine::new();
    machine.has("lib/rustlib/aarch64-unknown-linux-musl/lib/std", "");
    machine.has("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld", "");
    machine.has("bin/aarch64-linux-gnu-gcc", "");
    machine.has(
        "bin/cargo",
        "mkdir -p target/$5/release; echo $5 >target/$5/release/vod-callback-exporter",
    );
    let named = machine.refusal("scripts/image", &["--builder=podman"]);
    assert!(named.contains("there is no podman on the PATH"), "{named}");
    let none = machine.refusal("scripts/image", &[]);
    assert!(none.contains("apt-get install buildah"), "{none}");
    machine.has("bin/docker", "echo nobody listens >&2; exit 1");
    let silent = machine.refusal("scripts/image", &[]);
    assert!(silent.contains("docker with a running daemon"), "{silent}");
    let silent = machine.refusal("scripts/image", &["--builder=docker"]);
    assert!(
        silent.contains("does not answer: nobody listens"),
        "{silent}"
    );

    // Where BuildKit is: a plugin, within the client, nowhere.
    for (buildx, within, arch, built) in [
        (0, 0, "arm64", Some("- buildx build --load")),
        (1, 0, "arm64", Some("1 build")),
        (1, 1, "amd64", Some("0 build")),
        (1, 1, "arm64", None),
    ] {
        machine.has(
            "bin/docker",
            &format!(
                "case $* in 'buildx version') exit {buildx} ;; 'build --help') exit {within} ;; version*) echo amd64 ;;\n\
                 *) echo \"${{DOCKER_BUILDKIT:--}} $*\" ;; esac"
            ),
        );
        let arguments = [&format!("--arch={arch}"), "--tag=name:1"];
        let Some(built) = built else {
            let said = machine.refusal("scripts/image", &arguments);
            assert!(said.contains("buildx builds for amd64 only"), "{said}");
            continue;
        };
        let output = machine.run("scripts/image", &arguments);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!(
            "{built} --platform linux/{arch} --build-arg TARGETARCH={arch} --tag name:1 --file Dockerfile target/image/context"
        );
        assert!(
            said.lines().any(|line| line == expected),
            "{expected}: {said}"
        );
        let binary = format!("target/image/context/{arch}/vod-callback-exporter");
        let binary = fs::read_to_string(machine.0.path().join(binary)).unwrap();
        let machine = if arch == "arm64" { "aarch64" } else { "x86_64" };
        assert!(binary.starts_with(machine), "{binary}");
    }
}

/// That it is for the machine, and has no interpreter to load libraries.
fn assert_static(elf: &[u8], machine: u16) {
    let number = |at: usize| u16::from_le_bytes([elf[at], elf[at + 1]]);
    assert_eq!(&elf[..5], b"\x7fELF\x02");
    assert_eq!(number(18), machine);
    let (size, count) = (usize::from(number(54)), usize::from(number(56)));
    let start = usize::try_from(u64::from_le_bytes(elf[32..40].try_into().unwrap())).unwrap();
    assert!(count > 0);
    let kind = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let kinds: Vec<u32> = (0..count)
        .map(|header| kind(start + header * size))
        .collect();
    assert!(!kinds.contains(&INTERPRETER), "{kinds:?}");
}

/// The static binary with its certificates, a folder for the state, and nothing else.
fn assert_holds_little(image: &Image) {
    let files = image.files();
    let expected = [
        "etc",
        "var",
        "var/lib",
        "var/lib/vod-callback-exporter",
        "vod-callback-exporter",
    ];
    // The first is only there once a test has mounted something.
    let strays: Vec<&String> = files
        .keys()
        .filter(|name| !expected.contains(&name.as_str()))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    let size: u64 = files
        .values()
        .filter(|file| file.is_file())
        .map(fs::Metadata::len)
        .sum();
    eprintln!("{size} bytes");
    assert!(size < SIZE, "{size} bytes");
    let binary = &files["vod-callback-exporter"];
    assert_eq!(binary.mode() & 0o777, 0o755);
    let state = &files["var/lib/vod-callback-exporter"];
    if files["vod-callback-exporter"].uid() == 0 {
        assert_eq!((state.uid(), state.gid()), (USER, USER));
    }

    // One authority of many; their names are in the certificates.
    let bytes = fs::read(image.root.join("vod-callback-exporter")).unwrap();
    assert_static(
        &bytes,
        if cfg!(target_arch = "aarch64") {
            183
        } else {
            62
        },
    );
    let authority = b"GlobalSign";
    assert!(bytes.windows(authority.len()).any(|part| part == authority));

    let Some(settings) = &image.settings else {
        eprintln!("the image's settings are not looked at: there is no builder");
        return;
    };
    assert_eq!(settings["User"], "65532:65532");
    assert_eq!(settings["Entrypoint"], json!(["/vod-callback-exporter"]));
    assert_eq!(settings["Cmd"], json!(["run"]));
    let check = json!(["CMD", "/vod-callback-exporter", "probe"]);
    assert_eq!(settings["Healthcheck"]["Test"], check);
}

/// Why a process cannot be contained here; none where it can.
fn cannot_contain() -> Option<String> {
    let script = "mount -t tmpfs none /mnt && setpriv --bounding-set=-all,+sys_chroot true";
    let tried = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// A platform in a process of its own; the address of its MNS.
fn demo() -> (Process, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vod-callback-exporter"));
    command
        .env_clear()
        .args(["demo", "--web.listen-address=127.0.0.1:0"]);
    let mut demo = Process::start(command);
    let emulator = demo.listening_on("/truth");
    (demo, emulator)
}

async fn wait_for_events(exporter: &mut Process, address: SocketAddr) {
    let queue = [("queue", "vod-callbacks-worker")];
    let seen = async || loop {
        let scrape = Scrape::of(address).await;
        let is_up = scrape.sum("mns_queue_up", &queue) > 0.0;
        if is_up && scrape.sum("vod_events_total", &queue) > 0.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let seen = tokio::time::timeout(PATIENCE, seen()).await;
    assert!(seen.is_ok(), "no events; ended: {:?}", exporter.ended());
}

/// `/proc/PID/status` by its names.
fn contained_status(id: u32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(line).collect()
}

fn succeeds(command: &mut Command) {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
