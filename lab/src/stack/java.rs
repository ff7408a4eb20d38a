//! Finds a Java that can run Kafka, and one that can run Debezium Server.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::error::{StackError, could_not};

const LEAST_VERSION: u32 = 17;
const CURE: &str = "install Java 17 or later (Debian: apt install default-jre-headless; macOS: brew install openjdk) or set JAVA_HOME";

/// The `java` to run: of `JAVA_HOME` if set, else of `PATH`.
pub(super) fn find() -> Result<PathBuf, StackError> {
    let java = match env::var_os("JAVA_HOME") {
        Some(home) => Path::new(&home).join("bin/java"),
        None => PathBuf::from("java"),
    };
    let text = told_by(&java).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            StackError::Missing { program: "Java", cure: CURE }
        } else {
            could_not(format!("run {}", java.display()))(error)
        }
    })?;
    match version(&text) {
        Some((major, _)) if major >= LEAST_VERSION => Ok(java),
        Some((_, found)) => Err(StackError::OldJava { found: found.to_owned() }),
        // macOS has a `java` that only says that there is none.
        None => Err(StackError::Missing { program: "Java", cure: CURE }),
    }
}

/// A `java` of this version or a later one: of `JAVA_HOME` or a variable named like it, as `JAVA_HOME_21_X64`, of `PATH`, or
/// of where Linux distributions install it. `None` if there is none.
pub(super) fn at_least(least: u32) -> Option<PathBuf> {
    let named = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("JAVA_HOME"));
    let homes = named.map(|(_, home)| PathBuf::from(home).join("bin/java"));
    let installed = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    let installed = installed.map(|entry| entry.path().join("bin/java"));
    let mut candidates = homes.chain([PathBuf::from("java")]).chain(installed);
    candidates.find(|java| {
        let text = told_by(java).unwrap_or_default();
        version(&text).is_some_and(|(major, _)| major >= least)
    })
}

/// What `java -version` prints.
fn told_by(java: &Path) -> io::Result<String> {
    let output = Command::new(java).arg("-version").output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The version as a number and as told, from what `java -version` prints: `openjdk version "17.0.15" 2025-04-15`.
fn version(text: &str) -> Option<(u32, &str)> {
    let told = text.split('"').nth(1)?;
    let mut numbers = told.split(['.', '-', '+', '_']);
    let first: u32 = numbers.next()?.parse().ok()?;
    let major = if first == 1 { numbers.next()?.parse().ok()? } else { first };
    Some((major, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_old_and_new_are_understood() {
        assert_eq!(version("openjdk version \"17.0.15\" 2025-04-15"), Some((17, "17.0.15")));
        assert_eq!(version("java version \"1.8.0_292\""), Some((8, "1.8.0_292")));
        assert_eq!(version("openjdk version \"26-ea\" 2026-03-17"), Some((26, "26-ea")));
        assert_eq!(version("The operation couldn't be completed."), None);
    }
}
