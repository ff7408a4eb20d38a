//! Where a stack keeps its data and logs, and how that disappears again: when the stack is dropped; else, if this process
//! is killed or exits without dropping it, by the [janitor](super::janitor); else, if there is none, by the next stack,
//! which sweeps away the directories whose owner is gone.

use std::{
    env, fs,
    fs::File,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::Uid;
use uuid::Uuid;

use super::{
    error::{StackError, could_not},
    janitor::Janitor,
};

/// How the name of a temporary directory begins; its id follows.
const RUN: &str = "run-";

/// A directory in use by this process.
#[derive(Debug)]
pub(super) struct RunDirectory {
    path: PathBuf,
    /// Locked as long as its owner lives, which is how a sweep knows.
    _owner: File,
    /// Watches over a temporary directory; `None` for one that is kept.
    janitor: Option<Janitor>,
}

impl RunDirectory {
    /// A new one that goes when this process does.
    pub(super) fn temporary() -> Result<Self, StackError> {
        let parent = parent()?;
        let sweeping =
            File::create(parent.join("lock")).map_err(could_not("open the sweep's lock"))?;
        sweeping.lock().map_err(could_not("lock the stacks' directory"))?;
        sweep(&parent);
        let path = parent.join(format!("{RUN}{}", Uuid::now_v7()));
        let owner = own(&path)?;
        let janitor = Janitor::watching(&path);
        Ok(Self { path, _owner: owner, janitor: Some(janitor) })
    }

    /// The user's own, which stays.
    pub(super) fn kept(path: &Path) -> Result<Self, StackError> {
        fs::create_dir_all(path).map_err(could_not(format!("create {}", path.display())))?;
        let path = path.canonicalize().map_err(could_not(format!("find {}", path.display())))?;
        let owner = own(&path)?;
        Ok(Self { path, _owner: owner, janitor: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether `path` is one that [`RunDirectory::temporary`] has made.
pub(super) fn is_temporary(path: &Path) -> Result<bool, StackError> {
    let name =
        path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(RUN));
    Ok(name.is_some_and(|id| id.parse::<Uuid>().is_ok())
        && path.parent() == Some(parent()?.as_path()))
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Some(janitor) = self.janitor.take() {
            remove(&self.path);
            drop(janitor);
        }
    }
}

/// The directory of all stacks of this user, below the system's temporary one: reachable for `nobody` too.
fn parent() -> Result<PathBuf, StackError> {
    let user = Uid::effective();
    let path = env::temp_dir().join(format!("store-lab-{user}"));
    fs::create_dir_all(&path).map_err(could_not(format!("create {}", path.display())))?;
    let metadata = path.symlink_metadata().map_err(could_not("look at the stacks' directory"))?;
    if !metadata.is_dir() || metadata.uid() != user.as_raw() {
        let what = format!("use {}: it belongs to somebody else", path.display());
        return Err(could_not(what)(std::io::ErrorKind::PermissionDenied.into()));
    }
    permit(&path)?;
    Ok(path)
}

/// Creates the directory where it is not there yet, and locks it.
fn own(path: &Path) -> Result<File, StackError> {
    if !path.exists() {
        create(path)?;
    }
    let owner = File::create(path.join("owner")).map_err(could_not("create the owner's lock"))?;
    owner.try_lock().map_err(|_| StackError::DirectoryInUse(path.to_owned()))?;
    Ok(owner)
}

/// Removes what stacks left behind whose process is gone. What cannot be removed now is left for the next.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_abandoned =
            File::open(path.join("owner")).is_ok_and(|owner| owner.try_lock().is_ok());
        if path.is_dir() && is_abandoned {
            remove(&path);
        }
    }
}

/// Removes a directory; it being gone already is fine too.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

/// Creates a directory that every user can read.
pub(super) fn create(path: &Path) -> Result<(), StackError> {
    fs::create_dir(path).map_err(could_not(format!("create {}", path.display())))?;
    permit(path)
}

fn permit(path: &Path) -> Result<(), StackError> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(could_not(format!("change the mode of {}", path.display())))
}
