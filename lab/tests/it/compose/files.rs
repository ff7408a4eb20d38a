//! What the tests read of `docker-compose.yml`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// The image that holds our own programs.
const IMAGE: &str = "store";

/// The file.
#[derive(Deserialize)]
pub(super) struct Compose {
    pub(super) services: BTreeMap<String, Container>,
}

/// One container.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Container {
    pub(super) image: String,
    pub(super) profiles: Vec<String>,
    pub(super) command: Vec<String>,
    #[serde(deserialize_with = "as_text")]
    pub(super) environment: BTreeMap<String, String>,
    pub(super) ports: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) depends_on: BTreeMap<String, Dependency>,
}

/// What a container waits for.
#[derive(Deserialize)]
pub(super) struct Dependency {
    pub(super) condition: String,
}

impl Compose {
    /// Reads it.
    pub(super) fn read() -> Self {
        parse("docker-compose.yml")
    }

    /// The containers that run a program of ours.
    pub(super) fn programs(&self) -> impl Iterator<Item = (&str, &Container)> {
        self.services
            .iter()
            .filter(|(_, container)| container.image == IMAGE)
            .map(|(name, container)| (name.as_str(), container))
    }
}

/// Parses a YAML file of the repository.
pub(super) fn parse<T: DeserializeOwned>(path: &str) -> T {
    let text = fs::read_to_string(root().join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Numbers are passed to a process as text.
fn as_text<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values = BTreeMap::<String, Value>::deserialize(from)?;
    Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
}
