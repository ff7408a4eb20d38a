//! One thread that starts all children and lives as long as the process: `PR_SET_PDEATHSIG` fires when the *thread* that
//! spawned a child ends, and a test's or runtime's thread may end long before its process.

use std::{
    io,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
    thread,
};

use nix::sys::signal::Signal;

use super::pre_exec;

struct Job {
    command: Command,
    answer: mpsc::SyncSender<io::Result<Child>>,
}

/// Starts `command` in a process group of its own, from the one thread; it gets `death` when this process dies.
pub(super) fn spawn(mut command: Command, death: Signal) -> io::Result<Child> {
    static JOBS: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    pre_exec::die_with_parent(&mut command, death);
    let (answer, answered) = mpsc::sync_channel(1);
    JOBS.get_or_init(start)
        .send(Job { command, answer })
        .map_err(|_| io::Error::other("the spawning thread has ended"))?;
    answered.recv().map_err(io::Error::other)?
}

fn start() -> mpsc::Sender<Job> {
    let (jobs, queue) = mpsc::channel::<Job>();
    thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for mut job in queue {
                // Nobody waits for the answer only if this process is ending.
                let _ = job.answer.send(job.command.spawn());
            }
        })
        .expect("a process at its start can have one more thread");
    jobs
}
