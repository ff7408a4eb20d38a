//! What a `lab` may leave behind. Everything of it is told from what others do on the same machine by a temporary directory that
//! is this `lab`'s alone: each of its processes has that in its environment (`TMPDIR`) or, like the children of PostgreSQL,
//! which write over theirs, works beneath it.

use std::{
    collections::HashMap,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

/// How long a `lab` may take to be up; it may build the programs first.
const UP_WITHIN: Duration = Duration::from_secs(120);
/// How long what it has started may take to be gone once it is.
const GONE_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What runs containers.
const ENGINES: [&str; 2] = ["docker", "podman"];

/// A listening socket: the inode, which no other socket gets, and the port.
pub(super) type Listener = (u64, u16);

/// The trail of one `lab`. Dropped, it is removed.
pub(super) struct Trail {
    directory: PathBuf,
}

impl Trail {
    pub(super) fn new() -> Self {
        let directory = env::temp_dir().join(format!("lab-trail-{}", Uuid::now_v7()));
        let trail = Self { directory };
        for part in [trail.temporary(), trail.engines()] {
            fs::create_dir_all(part).unwrap();
        }
        let asked = trail.asked_for_containers();
        for engine in ENGINES {
            let script = format!("#!/bin/sh\necho \"$0 $*\" >> {}\n", asked.display());
            let path = trail.engines().join(engine);
            fs::write(&path, script).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        trail
    }

    /// A `lab` that leaves it.
    pub(super) fn lab(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(arguments).env("TMPDIR", self.temporary()).env("PATH", self.path());
        command
    }

    /// A search path on which whoever asks for a container is written down, and gets none.
    pub(super) fn path(&self) -> String {
        format!("{}:{}", self.engines().display(), env::var("PATH").unwrap())
    }

    /// Waits until a process of each of these programs listens; answers where.
    pub(super) fn until_all_listen(&self, programs: &[&str]) -> Vec<Listener> {
        self.until(&format!("{programs:?} listen"), |processes| {
            let listening = |program: &&str| {
                processes
                    .iter()
                    .any(|process| name(process) == **program && !listeners_of(process).is_empty())
            };
            programs.iter().all(listening)
        });
        self.processes().iter().flat_map(|process| listeners_of(process)).collect()
    }

    /// Waits until something can be said of the processes.
    pub(super) fn until(&self, what: &str, mut holds: impl FnMut(&[PathBuf]) -> bool) {
        let start = Instant::now();
        loop {
            let processes = self.processes();
            if holds(&processes) {
                return;
            }
            let names: Vec<_> = processes.iter().map(|process| name(process)).collect();
            assert!(start.elapsed() < UP_WITHIN, "{what}: not so with {names:?}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until nothing is left.
    pub(super) fn ends(&self, listeners: &[Listener]) {
        let start = Instant::now();
        loop {
            let left = self.left(listeners);
            if left.is_empty() {
                return;
            }
            assert!(start.elapsed() < GONE_WITHIN, "left behind:\n{}", left.join("\n"));
            thread::sleep(LOOK_EVERY);
        }
    }

    /// What there is of it, a line each: processes, ports, directories, and containers that were asked for.
    pub(super) fn left(&self, listeners: &[Listener]) -> Vec<String> {
        let processes = self.processes();
        let processes = processes.iter().map(|process| format!("process {}", described(process)));
        let listening = listening();
        let ports = listeners.iter().filter(|(inode, _)| listening.contains_key(inode));
        let ports = ports.map(|(_, port)| format!("port {port}"));
        let directories = self.directories();
        let directories = directories.iter().map(|path| format!("directory {}", path.display()));
        let containers = fs::read_to_string(self.asked_for_containers()).unwrap_or_default();
        let containers = containers.lines().map(|line| format!("container {line}"));
        processes.chain(ports).chain(directories).chain(containers).collect()
    }

    pub(super) fn forget_containers(&self) {
        fs::remove_file(self.asked_for_containers()).unwrap();
    }

    /// The `/proc` directories of all its processes, whoever their parents are.
    fn processes(&self) -> Vec<PathBuf> {
        entries(Path::new("/proc")).into_iter().filter(|process| self.is_of(process)).collect()
    }

    /// One that is ending has neither an environment nor a working directory any more.
    fn is_of(&self, process: &Path) -> bool {
        let temporary = self.temporary();
        let mark = format!("TMPDIR={}", temporary.display()).into_bytes();
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark)
            || fs::read_link(process.join("cwd")).is_ok_and(|path| path.starts_with(&temporary))
    }

    /// All that was put into the temporary directory, but for the lock that all runs of a user share.
    fn directories(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for entry in entries(&self.temporary()) {
            if name_of(&entry).starts_with("store-lab-") {
                left.extend(entries(&entry).into_iter().filter(|path| name_of(path) != "lock"));
            } else {
                left.push(entry);
            }
        }
        left
    }

    fn temporary(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    fn engines(&self) -> PathBuf {
        self.directory.join("engines")
    }

    fn asked_for_containers(&self) -> PathBuf {
        self.directory.join("containers")
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        // A test that fails shows what was left; that the directory stays too then does not matter.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Whether it is stopped, as by `SIGSTOP`: its state stands after its name in parentheses, `) T 123 …`.
pub(super) fn is_frozen(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

/// The sockets on which a process listens.
fn listeners_of(process: &Path) -> Vec<Listener> {
    let listening = listening();
    let sockets = entries(&process.join("fd")).into_iter().filter_map(|descriptor| {
        let target = fs::read_link(descriptor).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        let inode = inode.parse().ok()?;
        Some((inode, *listening.get(&inode)?))
    });
    sockets.collect()
}

/// All listening TCP sockets of the machine: inode and port.
fn listening() -> HashMap<u64, u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap());
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(listener).collect()
}

/// A line of the table: `NUMBER: ADDRESS:PORT REMOTE STATE … INODE …`; the state of a listening one is 0A.
fn listener(line: &str) -> Option<(u64, u16)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
    (fields.get(3) == Some(&"0A")).then_some((fields.get(9)?.parse().ok()?, port))
}

/// What is in a directory; nothing in one that is gone.
fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// What a process is called.
fn name(process: &Path) -> String {
    fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned()
}

fn described(process: &Path) -> String {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    format!("{} ({}) {line}", name_of(process), name(process))
}
