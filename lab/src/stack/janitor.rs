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

use super::{
    cache, directory,
    error::{StackError, could_not},
};

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
/// If `directory` is not a temporary one of a stack, or its standard input cannot be read, which it never writes anything to.
pub fn run(directory: &Path) -> Result<(), StackError> {
    if !directory::is_temporary(directory)? {
        return Err(StackError::NotTemporary(directory.to_owned()));
    }
    io::stdin().read_to_end(&mut Vec::new()).map_err(could_not("read standard input"))?;
    let start = Instant::now();
    while directory.exists() && start.elapsed() < PATIENCE {
        directory::remove(directory);
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn nothing_but_the_directory_of_a_run_is_removed() {
        let temporary = directory::RunDirectory::temporary().unwrap();
        assert!(directory::is_temporary(temporary.path()).unwrap());
        let stacks = temporary.path().parent().unwrap();
        let elsewhere = env::temp_dir().join(format!("run-{}", Uuid::now_v7()));
        fs::create_dir(&elsewhere).unwrap();
        let name = elsewhere.file_name().unwrap();
        let (within, beside) = (temporary.path().join(name), stacks.join("..").join(name));
        let no_id = stacks.join("run-");
        for other in [&elsewhere, &within, &beside, stacks, &no_id, Path::new("/"), Path::new("")] {
            assert!(!directory::is_temporary(other).unwrap(), "{}", other.display());
        }
        let told = run(&elsewhere).unwrap_err().to_string();
        assert!(
            told.ends_with("is not a directory that a run of lab has made for itself"),
            "{told}"
        );
        assert!(elsewhere.exists());
        fs::remove_dir(elsewhere).unwrap();
    }
}
