//! The lab's only unsafe code: what a child does between `fork` and `exec`, so that it dies with its parent.

#![allow(
    unsafe_code,
    reason = "`Command::pre_exec` is unsafe: only async-signal-safe calls may be made there. The closure makes two \
              system calls, prctl and getppid, allocates nothing and takes no lock"
)]

use std::process::Command;

use nix::sys::signal::Signal;

/// Makes the child receive `signal` when the thread that spawns it ends, or when its process does, however that happens.
#[cfg(target_os = "linux")]
pub(super) fn die_with_parent(command: &mut Command, signal: Signal) {
    use std::{io, os::unix::process::CommandExt};

    let parent = nix::unistd::getpid();
    // SAFETY: see the reason above; `parent` and `signal` are plain integers.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(signal)?;
            if nix::unistd::getppid() == parent {
                Ok(())
            } else {
                Err(io::Error::from(nix::errno::Errno::ESRCH))
            }
        });
    }
}

/// There is no such thing here: after a `kill -9` of `lab` its children go on.
#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent(_command: &mut Command, _signal: Signal) {}
