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
const STACK: &str = include_str!("../../stack/pom.xml");
const DEBEZIUM: &str = include_str!("../../stack/debezium.xml");

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
    let directory = cached(STACK, unpacked::repair)?;
    Ok(Programs { kafka: directory.join("kafka"), postgres: directory.join("postgres") })
}

/// The directory of Debezium Server, fetched if it is not there yet. Blocks: for long the first time.
pub(super) fn debezium() -> Result<PathBuf, StackError> {
    Ok(cached(DEBEZIUM, |_| Ok(()))?.join("debezium-server"))
}

type Repair = fn(&Path) -> Result<(), StackError>;

/// Where what a `pom` fetches is, after it was fetched and repaired if need be.
fn cached(pom: &str, repair: Repair) -> Result<PathBuf, StackError> {
    let parent = target_directory().join("lab-stack");
    fs::create_dir_all(&parent).map_err(could_not(format!("create {}", parent.display())))?;
    let platform = maven::platform()?;
    let mut hasher = DefaultHasher::new();
    (pom, platform).hash(&mut hasher);
    let directory = parent.join(format!("{:016x}", hasher.finish()));
    if !directory.exists() {
        let lock =
            File::create(parent.join("lock")).map_err(could_not("create the cache's lock"))?;
        lock.lock().map_err(could_not("lock the cache"))?;
        // Who held the lock may have fetched it.
        if !directory.exists() {
            let partial = fetch(&parent, pom, platform)?;
            repair(&partial)?;
            fs::rename(&partial, &directory).map_err(could_not("name the cache"))?;
        }
    }
    Ok(directory)
}

fn fetch(parent: &Path, pom: &str, platform: &str) -> Result<PathBuf, StackError> {
    let partial = parent.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(could_not("remove an unfinished cache"))?;
    }
    fs::create_dir(&partial).map_err(could_not("create the cache"))?;
    maven::fetch(&partial, pom, platform, &parent.join("maven.log"))?;
    Ok(partial)
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
