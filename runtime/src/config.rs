//! Reading the command line and the environment: all wrong values are told at once, each with its variable's name, and a
//! secret never.

use std::{env, ffi::OsString, fmt};

use clap::{
    Arg, ArgMatches, Command, Id, Parser,
    builder::{TypedValueParser, ValueParser},
    error::{ContextKind, ContextValue, ErrorKind},
};
use secrecy::SecretString;

/// Reads this process's arguments and environment. Wrong ones end the process with exit code 2 and all the reasons; `--help`
/// and `--version` end it with 0.
#[must_use]
pub fn parse<P: Parser>() -> P {
    try_parse(env::args_os().collect()).unwrap_or_else(|error| error.exit())
}

/// As [`parse`], of the given arguments.
///
/// # Errors
/// One error that tells everything that is wrong.
pub fn try_parse<P: Parser>(arguments: Vec<OsString>) -> Result<P, clap::Error> {
    P::from_arg_matches(&matches(P::command(), arguments)?)
}

/// A parser for secrets: what it does not take is not shown. `check` tells why not, without telling the secret.
pub fn secret(check: fn(&str) -> Result<(), String>) -> ValueParser {
    ValueParser::new(Secret(check))
}

#[derive(Clone)]
struct Secret(fn(&str) -> Result<(), String>);

impl TypedValueParser for Secret {
    type Value = SecretString;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let text = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
        let checked = text.and_then(|text| (self.0)(text).map(|()| SecretString::from(text)));
        checked.map_err(|reason| {
            let mut error = clap::Error::new(ErrorKind::ValueValidation).with_cmd(command);
            let name = argument.map(ToString::to_string).unwrap_or_default();
            error.insert(ContextKind::InvalidArg, ContextValue::String(name));
            error.insert(ContextKind::Custom, ContextValue::String(reason));
            error
        })
    }
}

/// Parses, and at each wrong value notes it and parses again without looking at that value.
fn matches(mut command: Command, arguments: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    let mut built = command.clone();
    built.build();
    let mut wrong = Vec::new();
    loop {
        let error = match command.clone().try_get_matches_from(&arguments) {
            Ok(matches) if wrong.is_empty() => return Ok(matches),
            Ok(_) => return Err(report(&mut command, &wrong)),
            Err(error) => error,
        };
        let Some(name) = invalid_argument(&error) else {
            let missing = missing(&built, &error);
            if wrong.is_empty() && missing.is_empty() {
                return Err(error);
            }
            wrong.extend(if missing.is_empty() { vec![plain(&error)] } else { missing });
            return Err(report(&mut command, &wrong));
        };
        let Some((id, variable)) = find(&built, &name) else { return Err(error) };
        command = relax(command, &id);
        wrong.push(describe(&error, &name, variable.as_deref()));
    }
}

fn invalid_argument(error: &clap::Error) -> Option<String> {
    let of_a_value = matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue);
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) if of_a_value => Some(name.clone()),
        _ => None,
    }
}

/// A line for each required value that is not given.
fn missing(built: &Command, error: &clap::Error) -> Vec<String> {
    let names = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names))
            if error.kind() == ErrorKind::MissingRequiredArgument =>
        {
            names
        }
        _ => return Vec::new(),
    };
    let line = |name: &String| {
        let variable = find(built, name).and_then(|(_, variable)| variable);
        format!("{} is missing", place(name, variable.as_deref()))
    };
    names.iter().map(line).collect()
}

fn place(name: &str, variable: Option<&str>) -> String {
    variable.map_or_else(|| name.to_owned(), |variable| format!("{variable} ({name})"))
}

/// The argument that errors call `name`, and its variable.
fn find(command: &Command, name: &str) -> Option<(Id, Option<String>)> {
    let own =
        command.get_arguments().find(|argument| argument.to_string() == name).map(|argument| {
            let variable =
                argument.get_env().map(|variable| variable.to_string_lossy().into_owned());
            (argument.get_id().clone(), variable)
        });
    own.or_else(|| command.get_subcommands().find_map(|subcommand| find(subcommand, name)))
}

/// Lets the argument take any text, so that the next wrong one can be found.
fn relax(command: Command, id: &Id) -> Command {
    let relaxed = command.mut_args(|argument| {
        let any = argument.get_id() == id;
        if any { argument.value_parser(ValueParser::os_string()) } else { argument }
    });
    relaxed.mut_subcommands(|subcommand| relax(subcommand, id))
}

fn describe(error: &clap::Error, name: &str, variable: Option<&str>) -> String {
    let place = place(name, variable);
    let reason = match (error.get(ContextKind::Custom), error.get(ContextKind::InvalidValue)) {
        (Some(reason), _) => format!(": {reason}"),
        (None, Some(value)) => format!(" '{value}'{}", cause(error)),
        (None, None) => String::new(),
    };
    format!("wrong value of {place}{reason}")
}

fn cause(error: &clap::Error) -> String {
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) {
        return format!(": must be one of {}", valid.join(", "));
    }
    std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default()
}

fn plain(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.split("\n\nUsage:").next().unwrap_or(text).trim_end().to_owned()
}

fn report(command: &mut Command, wrong: &[impl fmt::Display]) -> clap::Error {
    let lines: Vec<_> = wrong.iter().map(|line| format!("  {line}")).collect();
    command.error(ErrorKind::ValueValidation, format!("wrong configuration\n{}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[arg(long, env = "RUNTIME_TEST_PORT")]
        port: u16,
        #[arg(long, env = "RUNTIME_TEST_COUNT", default_value_t = 1)]
        count: i32,
        #[command(flatten)]
        postgres: crate::postgres::PostgresOptions,
    }

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        try_parse(["test"].iter().chain(arguments).map(OsString::from).collect())
    }

    #[test]
    fn all_wrong_values_are_told_at_once_and_secrets_never() {
        let url = "http://user:hunter2@localhost/x";
        let arguments = ["--port", "x", "--count", "many", "--database-url", url];
        let text = parse(&arguments).unwrap_err().to_string();
        for part in ["RUNTIME_TEST_PORT", "'x'", "RUNTIME_TEST_COUNT", "'many'", "DATABASE_URL"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn right_values_are_taken_and_the_secret_is_not_printed() {
        let url = "postgres://user:hunter2@localhost/x";
        let cli = parse(&["--port", "7", "--database-url", url]).unwrap();
        assert_eq!((cli.port, cli.count, cli.postgres.database_lock_timeout_ms), (7, 1, 2_000));
        assert!(!format!("{cli:?}").contains("hunter2"));
    }

    /// None of its variables is set where tests run.
    #[derive(Debug, Parser)]
    struct Needy {
        #[arg(long, env = "RUNTIME_TEST_PORT")]
        port: u16,
        #[arg(long, env = "RUNTIME_TEST_COUNT", default_value_t = 1)]
        count: i32,
        #[arg(long, env = "RUNTIME_TEST_NAME")]
        name: String,
    }

    #[test]
    fn what_is_missing_is_told_with_what_is_wrong() {
        let arguments = ["test", "--count", "many"].map(OsString::from).to_vec();
        let error = try_parse(arguments).map(|Needy { port, count, name }| (port, count, name));
        let text = error.unwrap_err().to_string();
        for part in ["'many'", "RUNTIME_TEST_PORT (--port", "RUNTIME_TEST_NAME (--name"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }
}
