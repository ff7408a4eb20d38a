//! The arguments that several commands take.

use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::config::Hidden;
use crate::kafka::KafkaOptions;
use crate::operator::error::CommandError;
use crate::sources::{SourceAddress, check_file, check_sources, parse_sources, read_file};

/// Which sources a command is about.
#[derive(Clone, Debug, Args)]
pub struct DatabaseArgs {
    /// The one source that is meant, by its name.
    #[arg(long, env = "RELAY_SOURCE", value_name = "NAME")]
    source: Option<String>,
    /// The sources, as `run` has them.
    #[arg(long, env = "RELAY_SOURCES", hide_env_values = true, value_name = "NAME=URL,…",
        value_parser = runtime::config::secret(check_sources), required_unless_present_any = ["database_url", "sources_file"])]
    sources: Option<SecretString>,
    /// A file that lists them instead, as `run` has it.
    #[arg(long, env = "RELAY_SOURCES_FILE", value_name = "PATH", value_parser = check_file, conflicts_with = "sources")]
    sources_file: Option<PathBuf>,
    /// The database of the source, if it is not among --sources.
    #[arg(
        long,
        env = "RELAY_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        requires = "source"
    )]
    database_url: Option<Hidden>,
}

/// Where the progress is kept.
#[derive(Clone, Debug, Args)]
pub struct ProgressArgs {
    /// How Kafka is reached.
    #[command(flatten)]
    pub(crate) kafka: KafkaOptions,
    /// The compacted topic that keeps the progress.
    #[arg(long, env = "RELAY_PROGRESS_TOPIC", default_value = crate::topics::PROGRESS_TOPIC)]
    pub(crate) progress_topic: String,
}

impl DatabaseArgs {
    /// Every source that is meant: the one named, else all; at least one.
    pub(crate) fn all(&self) -> Result<Vec<SourceAddress>, CommandError> {
        if let (Some(url), Some(name)) = (&self.database_url, &self.source) {
            return parse_sources(&format!("{name}={}", url.expose())).map_err(|error| {
                CommandError::Usage(format!("--source and --database-url are wrong: {error}"))
            });
        }
        let listed = match &self.sources_file {
            Some(path) => read_file(path),
            None => parse_sources(self.sources.as_ref().map_or("", ExposeSecret::expose_secret)),
        };
        let mut addresses = listed.map_err(|error| CommandError::Usage(error.to_string()))?;
        let Some(name) = &self.source else { return Ok(addresses) };
        let names = names(&addresses);
        addresses.retain(|address| address.name == *name);
        if addresses.is_empty() {
            let problem =
                format!("there is no source {name} among {names}: name one with --source");
            return Err(CommandError::Usage(problem));
        }
        Ok(addresses)
    }

    /// The only source that is meant.
    pub(crate) fn one(&self) -> Result<SourceAddress, CommandError> {
        let mut addresses = self.all()?;
        match (addresses.pop(), addresses.as_slice()) {
            (Some(only), []) => Ok(only),
            (last, others) => {
                let all: Vec<SourceAddress> = others.iter().cloned().chain(last).collect();
                let problem =
                    format!("several sources are listed ({}): name one with --source", names(&all));
                Err(CommandError::Usage(problem))
            }
        }
    }
}

fn names(addresses: &[SourceAddress]) -> String {
    addresses.iter().map(|address| address.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        database: DatabaseArgs,
    }

    fn names_of(arguments: &str) -> Result<String, String> {
        let line = Line::try_parse_from(["x"].into_iter().chain(arguments.split(' ')));
        let database = line.map_err(|error| error.to_string())?.database;
        database.all().map(|all| names(&all)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_source_is_one_of_the_list_or_a_url_with_a_name() {
        let list = "--sources a=postgres://h/a,b=postgres://h/b";
        assert_eq!(names_of(list), Ok("a, b".to_owned()));
        assert_eq!(names_of(&format!("{list} --source b")), Ok("b".to_owned()));
        assert!(names_of(&format!("{list} --source c")).unwrap_err().contains("among a, b"));
        let url = "--database-url postgres://h/c";
        assert_eq!(names_of(&format!("{url} --source c")), Ok("c".to_owned()));
        assert_eq!(names_of(&format!("{url} --source c {list}")), Ok("c".to_owned()));
        assert!(names_of(url).unwrap_err().contains("--source"));
        assert!(names_of("--source c").unwrap_err().contains("--sources"));
    }
}
