//! Mends what Ant's `untar` loses: it knows no links and no permissions.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::error::{StackError, could_not};

/// Makes a fetched cache complete and readable for every user.
pub(super) fn repair(directory: &Path) -> Result<(), StackError> {
    link_libraries(&directory.join("postgres/lib"))?;
    allow(directory)?;
    for program in files(&directory.join("postgres/bin"))? {
        permit(&program, 0o755)?;
    }
    Ok(())
}

/// Links to libraries were left as empty files: `libpq.so.5` is `libpq.so.5.18`, as `ldconfig` would say.
fn link_libraries(directory: &Path) -> Result<(), StackError> {
    let libraries = files(directory)?;
    let is_empty = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.len() == 0);
    for link in libraries.iter().filter(|path| is_empty(path)) {
        let prefix = format!("{}.", link.display());
        let library = libraries
            .iter()
            .find(|path| path.display().to_string().starts_with(&prefix) && !is_empty(path))
            .and_then(|path| path.file_name());
        if let Some(library) = library {
            fs::remove_file(link).map_err(could_not("replace a link"))?;
            symlink(library, link).map_err(could_not("link a library"))?;
        }
    }
    Ok(())
}

/// Lets every user read all of it, whatever the umask was.
fn allow(directory: &Path) -> Result<(), StackError> {
    permit(directory, 0o755)?;
    for path in files(directory)? {
        let kind = path.symlink_metadata().map_err(could_not("look into the cache"))?.file_type();
        if kind.is_dir() {
            allow(&path)?;
        } else if kind.is_file() {
            permit(&path, 0o644)?;
        }
    }
    Ok(())
}

/// Copies a repaired directory, links as links.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), StackError> {
    let what = || could_not(format!("copy {} to {}", from.display(), to.display()));
    fs::create_dir(to).map_err(what())?;
    permit(to, 0o755)?;
    for path in files(from)? {
        let Some(name) = path.file_name() else { continue };
        let kind = path.symlink_metadata().map_err(what())?.file_type();
        if kind.is_dir() {
            copy(&path, &to.join(name))?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&path).map_err(what())?;
            symlink(link, to.join(name)).map_err(what())?;
        } else {
            fs::copy(&path, to.join(name)).map_err(what())?;
        }
    }
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, StackError> {
    let what = || could_not(format!("list {}", directory.display()));
    fs::read_dir(directory)
        .map_err(what())?
        .map(|entry| entry.map(|entry| entry.path()).map_err(what()))
        .collect()
}

fn permit(path: &Path, mode: u32) -> Result<(), StackError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(could_not(format!("change the mode of {}", path.display())))
}
