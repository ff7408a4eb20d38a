//! Which databases are published from: names and URLs, from the command line or from a file that can be read again.

use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use thiserror::Error;

/// Where the sources are listed.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SourcesOptions {
    /// The databases to publish from: name=url, separated by commas. A name stands for one table for ever.
    #[arg(long, env = "RELAY_SOURCES", hide_env_values = true, value_name = "NAME=URL,…", value_parser = runtime::config::secret(check_sources))]
    pub sources: Option<SecretString>,
    /// A file that lists them instead, one NAME=URL a line, # before a comment. Read again on SIGHUP.
    #[arg(long, env = "RELAY_SOURCES_FILE", value_name = "PATH", value_parser = check_file)]
    pub sources_file: Option<PathBuf>,
}

/// Everything that is wrong with a list of sources.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}", .0.join("; "))]
pub struct SourcesError(Vec<String>);

/// A source's name and where it is.
#[derive(Clone, Debug)]
pub(crate) struct SourceAddress {
    pub(crate) name: String,
    pub(crate) url: SecretString,
}

impl SourcesOptions {
    /// The sources, all of them well formed.
    pub(crate) fn read(&self) -> Result<Vec<SourceAddress>, SourcesError> {
        match (&self.sources, &self.sources_file) {
            (_, Some(path)) => read_file(path),
            (Some(sources), None) => parse_sources(sources.expose_secret()),
            (None, None) => Err(SourcesError(vec!["no source is named".to_owned()])),
        }
    }
}

/// The sources that a file lists.
pub(crate) fn read_file(path: &Path) -> Result<Vec<SourceAddress>, SourcesError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        SourcesError(vec![format!("{} cannot be read: {error}", path.display())])
    })?;
    let lines = text.lines().enumerate().map(|(index, line)| (index, line.trim()));
    let entries = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    parse(entries.map(|(index, line)| (format!("line {}", index + 1), line)))
}

/// The sources of a list with commas.
pub(crate) fn parse_sources(sources: &str) -> Result<Vec<SourceAddress>, SourcesError> {
    let entries = sources.split(',').map(str::trim).enumerate();
    parse(entries.map(|(index, entry)| (format!("entry {}", index + 1), entry)))
}

/// Whether a list with commas is well formed.
pub(crate) fn check_sources(sources: &str) -> Result<(), String> {
    parse_sources(sources).map(drop).map_err(|error| error.to_string())
}

/// Whether a file can be read and is well formed.
pub(crate) fn check_file(path: &str) -> Result<PathBuf, SourcesError> {
    read_file(Path::new(path)).map(|_sources| PathBuf::from(path))
}

/// Takes entries with where each of them stands. An empty list is refused: it is more likely half written than meant.
fn parse<'a>(
    entries: impl Iterator<Item = (String, &'a str)>,
) -> Result<Vec<SourceAddress>, SourcesError> {
    let (mut sources, mut wrong) = (Vec::<SourceAddress>::new(), Vec::new());
    for (place, entry) in entries {
        match address(entry) {
            Err(reason) => wrong.push(format!("{place} {reason}")),
            Ok(source) if sources.iter().any(|other| other.name == source.name) => {
                wrong.push(format!("{place} gives the name {} again", source.name));
            }
            Ok(source) => sources.push(source),
        }
    }
    if sources.is_empty() && wrong.is_empty() {
        wrong.push("no source is named".to_owned());
    }
    if wrong.is_empty() { Ok(sources) } else { Err(SourcesError(wrong)) }
}

/// One entry, or what is wrong with it, without its password.
fn address(entry: &str) -> Result<SourceAddress, String> {
    const FORM: &str = "is not NAME=postgres://…, a name being of a-z, 0-9, _ and -";
    let (name, url) = entry.split_once('=').ok_or(FORM)?;
    let named = !name.is_empty()
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    if !named || !is_url {
        return Err(FORM.to_owned());
    }
    url.parse::<PgConnectOptions>().map_err(|error| format!("has no good URL: {error}"))?;
    Ok(SourceAddress { name: name.to_owned(), url: url.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &str) -> Result<Vec<String>, String> {
        let sources = parse_sources(sources).map_err(|error| error.to_string())?;
        Ok(sources.into_iter().map(|source| source.name).collect())
    }

    #[test]
    fn sources_are_names_and_urls() {
        let two = names("a=postgres://x/y, b-2=postgresql://u:p@h/d");
        assert_eq!(two, Ok(vec!["a".into(), "b-2".into()]));
        for (sources, told) in [
            ("a=postgres://x/y,b", "entry 2 is not NAME=postgres://"),
            ("A=postgres://x/y", "entry 1 is not NAME=postgres://"),
            ("a=postgres://x/y,a=postgres://x/z", "entry 2 gives the name a again"),
            ("a=postgres://x:port/y", "entry 1 has no good URL: "),
            ("a=postgres://x/y?sslmode=very", "entry 1 has no good URL: "),
        ] {
            let error = names(sources).unwrap_err();
            assert!(error.starts_with(told), "{error}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once_and_no_password() {
        let error = names("a=postgres://u:hunter2@h:x/d,b,c=mysql://u:hunter2@h/d").unwrap_err();
        for place in ["entry 1", "entry 2", "entry 3"] {
            assert!(error.contains(place), "{error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
}
