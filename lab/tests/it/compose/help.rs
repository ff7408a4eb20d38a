//! What a program says about itself.

use std::{fmt, path::Path, process::Command};

/// The `--help` of a subcommand, in one line.
pub(super) struct Help(String);

impl Help {
    /// Asks the program that a container runs.
    pub(super) fn of(binaries: &Path, command: &[String]) -> Self {
        let [program, subcommand] = command else {
            panic!("a program and a subcommand: {command:?}")
        };
        let output = Command::new(binaries.join(program))
            .args([subcommand, "--help"])
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {subcommand} --help: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        Self(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Whether it reads this variable.
    pub(super) fn knows(&self, variable: &str) -> bool {
        self.after(variable).is_some()
    }

    /// The value of a variable that is not set.
    pub(super) fn default_of(&self, variable: &str) -> Option<&str> {
        let default = self.after(variable)?.strip_prefix(" [default: ")?;
        default.split_once(']').map(|(default, _)| default)
    }

    /// The variables of the flags without which it does not start: those that its usage spells out.
    pub(super) fn required(&self) -> Vec<String> {
        let (usage, options) = self.0.split_once(" Options: ").unwrap();
        let (_, usage) = usage.split_once("Usage: ").unwrap();
        let flags = usage.split(' ').filter(|word| word.starts_with("--"));
        flags
            .map(|flag| variable_of(options, flag).unwrap_or_else(|| panic!("{flag}: {self}")))
            .collect()
    }

    /// What follows the name of a variable: values of secrets are not shown, those of others are empty here.
    fn after(&self, variable: &str) -> Option<&str> {
        ["]", "=]"].iter().find_map(|end| {
            let (_, rest) = self.0.split_once(&format!("[env: {variable}{end}"))?;
            Some(rest)
        })
    }
}

impl fmt::Display for Help {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn variable_of(options: &str, flag: &str) -> Option<String> {
    let (_, about) = options.split_once(&format!("{flag} <"))?;
    let (_, variable) = about.split_once("[env: ")?;
    variable.split(['=', ']']).next().map(str::to_owned)
}
