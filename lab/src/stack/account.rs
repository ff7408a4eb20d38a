//! As whom PostgreSQL runs: it refuses root, so root runs it as `nobody`.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use nix::unistd::{Gid, Uid, User};

use super::error::{StackError, could_not};

/// The account PostgreSQL runs under.
#[derive(Clone, Copy, Debug)]
pub(super) enum Account {
    /// Our own.
    Own,
    /// Another, because we are root.
    Other(Uid, Gid),
}

impl Account {
    pub(super) fn for_postgres() -> Result<Self, StackError> {
        if !Uid::effective().is_root() {
            return Ok(Self::Own);
        }
        let nobody = User::from_name("nobody")
            .map_err(|errno| could_not("look up `nobody`")(errno.into()))?;
        nobody.map(|user| Self::Other(user.uid, user.gid)).ok_or(StackError::Missing {
            program: "the user `nobody`",
            cure: "PostgreSQL does not run as root; create that user or run lab as an ordinary one",
        })
    }

    /// Makes `command` run under the account.
    pub(super) fn apply(self, command: &mut Command) {
        match self {
            Self::Own => {}
            Self::Other(uid, gid) => {
                command.uid(uid.as_raw()).gid(gid.as_raw());
            }
        }
    }

    /// Gives the directory to the account.
    pub(super) fn give(self, directory: &Path) -> Result<(), StackError> {
        match self {
            Self::Own => Ok(()),
            Self::Other(uid, gid) => {
                std::os::unix::fs::chown(directory, Some(uid.as_raw()), Some(gid.as_raw()))
                    .map_err(could_not(format!("give {} to nobody", directory.display())))
            }
        }
    }

    /// Whether the account gets through all directories down to `path`.
    pub(super) fn can_reach(self, path: &Path) -> bool {
        match self {
            Self::Own => true,
            Self::Other(..) => path.ancestors().skip(1).all(|directory| {
                directory.as_os_str().is_empty()
                    || directory
                        .metadata()
                        .is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
            }),
        }
    }
}
