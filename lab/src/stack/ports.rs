//! Free ports that stay free: taken below the range the system gives to outgoing connections, so that nobody gets one
//! by chance while its server is down, and locked against other stacks.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use super::error::{StackError, could_not};

const LOWEST: u16 = 15_000;
const HIGHEST: u16 = 29_999;
const TRIES: u32 = 1_000;

/// A port of the loopback address, kept for this process until dropped.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// Finds a free one; `locks` is the directory in which all stacks of this user lock theirs.
    pub(super) fn free(locks: &Path) -> Result<Self, StackError> {
        for _ in 0..TRIES {
            let number = rand::random_range(LOWEST..=HIGHEST);
            let path = locks.join(format!("{number}.port"));
            let lock = File::create(path).map_err(could_not("create a port's lock"))?;
            if lock.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _lock: Some(lock) });
            }
        }
        Err(could_not("find a free port")(std::io::ErrorKind::AddrNotAvailable.into()))
    }

    /// Takes this one and no other.
    pub(super) fn fixed(
        number: u16,
        what: &'static str,
        cure: &'static str,
    ) -> Result<Self, StackError> {
        if is_free(number) {
            Ok(Self { number, _lock: None })
        } else {
            Err(StackError::PortTaken { port: number, what, cure })
        }
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

/// Whether nobody listens there.
fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}
