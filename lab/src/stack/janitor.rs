//! A process that outlives this one by a moment, to remove its directory: `lab janitor DIRECTORY`. It reads a pipe that
//! nobody writes to; when that ends, its parent is gone, by whatever way. The children die by `PR_SET_PDEATHSIG`.

use std::{
    env,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{cache, directory};

/// For how long children may go on writing into the directory after their parent died.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);

/// The watching process; none where `lab` has not been built, as in tests of a single other package.
#[derive(Debug)]
pub(super) struct Janitor {
    child: Option<(Child, ChildStdin)>,
}

impl Janitor {
    pub(super) fn watching(directory: &Path) -> Self {
        Self { child: program().and_then(|program| start(&program, directory)) }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Some((mut child, pipe)) = self.child.take() {
            drop(pipe);
            let _ = child.wait();
        }
    }
}

fn start(program: &Path, directory: &Path) -> Option<(Child, ChildStdin)> {
    let mut child = Command::new(program)
        .arg("janitor")
        .arg(directory)
        // Away from our files and our terminal's Ctrl-C.
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let pipe = child.stdin.take()?;
    Some((child, pipe))
}

/// This program if it is `lab`, else the `lab` beside it.
fn program() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    if own.file_name()? == "lab" {
        return Some(own);
    }
    let lab = cache::profile_directory().join("lab");
    lab.exists().then_some(lab)
}

/// What `lab janitor` does: waits for the end of its parent, then removes `directory`.
///
/// # Errors
/// If its standard input cannot be read, which it never writes anything to.
pub fn run(directory: &Path) -> io::Result<()> {
    io::stdin().read_to_end(&mut Vec::new())?;
    let start = Instant::now();
    while directory.exists() && start.elapsed() < PATIENCE {
        directory::remove(directory);
        thread::sleep(PAUSE);
    }
    Ok(())
}
