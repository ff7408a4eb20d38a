//! The programs the stack runs, fetched once by Maven into `target/lab-stack`. Several processes may want them at once:
//! one fetches under a lock, into a directory that gets its name only when it is complete.

use std::{
    collections::hash_map::DefaultHasher,
    env, fs,
    fs::File,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{
    error::{StackError, could_not},
    maven, unpacked,
};

/// What is fetched; a change of it makes another cache.
pub(super) const POM: &str = include_str!("../../stack/pom.xml");

/// Where the programs are.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// Directory of Kafka's jars.
    pub(super) kafka: PathBuf,
    /// Directory of PostgreSQL: `bin`, `lib`, `share`.
    pub(super) postgres: PathBuf,
}

/// The programs, fetched if they are not there yet. Blocks: seconds the first time.
pub(super) fn programs() -> Result<Programs, StackError> {
    let parent = target_directory().join("lab-stack");
    fs::create_dir_all(&parent).map_err(could_not(format!("create {}", parent.display())))?;
    let platform = maven::platform()?;
    let mut hasher = DefaultHasher::new();
    (POM, platform).hash(&mut hasher);
    let directory = parent.join(format!("{:016x}", hasher.finish()));
    if !directory.exists() {
        let lock =
            File::create(parent.join("lock")).map_err(could_not("create the cache's lock"))?;
        lock.lock().map_err(could_not("lock the cache"))?;
        // Who held the lock may have fetched it.
        if !directory.exists() {
            fetch(&parent, &directory, platform)?;
        }
    }
    Ok(Programs { kafka: directory.join("kafka"), postgres: directory.join("postgres") })
}

fn fetch(parent: &Path, directory: &Path, platform: &str) -> Result<(), StackError> {
    let partial = parent.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(could_not("remove an unfinished cache"))?;
    }
    fs::create_dir(&partial).map_err(could_not("create the cache"))?;
    maven::fetch(&partial, platform, &parent.join("maven.log"))?;
    unpacked::repair(&partial)?;
    fs::rename(&partial, directory).map_err(could_not("name the cache"))
}

/// Cargo's target directory.
pub(crate) fn target_directory() -> PathBuf {
    profile_directory().parent().map_or_else(env::temp_dir, Path::to_owned)
}

/// `<target>/<profile>`, where the programs of this build lie: this one does too or, as a test, in its `deps/`. Asked once:
/// a build may replace this program while it runs.
pub(crate) fn profile_directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let program = env::current_exe().unwrap_or_default();
        let of_test = |path: &&Path| path.ends_with("deps") || path.ends_with("examples");
        let directory = program
            .parent()
            .map(|path| Some(path).filter(of_test).and_then(Path::parent).unwrap_or(path));
        directory.map_or_else(env::temp_dir, Path::to_owned)
    })
}
