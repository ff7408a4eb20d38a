//! The documentation held against the programs: what it names exists, and what exists is named.

mod faults;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lab::processes::{self, Program};

/// Crates whose metrics and error reasons the documents list.
const CRATES: [&str; 5] = ["messaging", "runtime", "store-manager", "payments", "outbox-relay"];

/// Directories that a path in a document may begin with.
const ROOMS: [&str; 11] = [
    "lab",
    "messaging",
    "migrations",
    "outbox-relay",
    "payments",
    "proto",
    "runtime",
    "store-manager",
    "docs",
    "deploy",
    ".ci",
];

#[tokio::test]
async fn operations_md_lists_every_variable_with_its_flag_and_default() {
    let binaries = processes::build().await.unwrap();
    let mut real = BTreeSet::new();
    for program in Program::ALL {
        let binary = binaries.join(program.name());
        for subcommand in subcommands(&help(&binary, &[])) {
            let text = help(&binary, &[&subcommand]);
            let nested = subcommands(&text);
            let nested = nested.iter().map(|nested| help(&binary, &[&subcommand, nested]));
            for option in nested.chain([text.clone()]).flat_map(|text| options(&text)) {
                real.insert(format!("{}: {option}", program.name()));
            }
        }
    }
    let mut documented = BTreeSet::new();
    for row in rows(&read("docs/operations.md"), "Variable") {
        let [variable, flag, programs, default] = &row[..4] else {
            panic!("too few cells: {row:?}")
        };
        for program in programs.split(", ") {
            documented.insert(format!("{program}: {variable} {flag} {default}"));
        }
    }
    assert_same(&real, &documented, "operations.md, variables");
}

#[test]
fn operations_md_lists_every_metric() {
    let mut real = BTreeSet::new();
    for file in CRATES.iter().flat_map(|name| sources(&root().join(name).join("src"))) {
        let text = fs::read_to_string(&file).unwrap();
        for (call, unit) in [(".register(", ""), (".register_with_unit(", "_seconds")] {
            let names = text.split(call).skip(1).filter_map(|rest| literal(rest, &text));
            real.extend(names.map(|name| format!("store_{name}{unit}")));
        }
    }
    let documented = rows(&read("docs/operations.md"), "Metric")
        .iter()
        .map(|row| row[0].trim_end_matches("_total").to_owned())
        .collect();
    assert!(real.len() > 10, "the search for metrics finds none any more: {real:?}");
    assert_same(&real, &documented, "operations.md, metrics");
}

#[test]
fn errors_md_lists_every_reason_under_its_domain() {
    let mut real = BTreeSet::new();
    for (name, mark) in [
        ("runtime", "ErrorReason::store(\""),
        ("store-manager", "pub const "),
        ("payments", "pub const "),
    ] {
        let domain = if name == "runtime" { "store" } else { name };
        for file in sources(&root().join(name).join("src/grpc")) {
            let text = fs::read_to_string(file).unwrap();
            // The tests of a file make reasons up.
            let code = text.split("#[cfg(test)]").next().unwrap();
            for rest in code.split(mark).skip(1) {
                let reason = rest.split(['"', ':']).next().unwrap();
                // A reason's constant has its own name as its value; the domain, for one, has not.
                if name == "runtime" || rest.starts_with(&format!("{reason}: &str = \"{reason}\""))
                {
                    real.insert(format!("{domain} {reason}"));
                }
            }
        }
    }
    let text = read("docs/errors.md");
    let documented = text
        .split("Domain `")
        .skip(1)
        .flat_map(|section| {
            let domain = section.split('`').next().unwrap();
            rows(section, "Reason").into_iter().map(move |row| format!("{domain} {}", row[0]))
        })
        .collect();
    assert!(real.len() > 10, "the search for reasons finds none any more: {real:?}");
    assert_same(&real, &documented, "errors.md");
}

#[test]
fn every_path_that_a_document_names_exists() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let here = document.parent().unwrap();
        for path in text.split('`').skip(1).step_by(2) {
            let is_path = ROOMS.iter().any(|room| path.starts_with(&format!("{room}/")));
            if is_path && !path.contains([' ', '*', '<', '…']) {
                assert!(root().join(path).exists(), "{} names {path}", document.display());
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let is_here = !file.is_empty() && !file.starts_with("http");
            assert!(!is_here || here.join(file).exists(), "{} links to {link}", document.display());
        }
    }
}

#[test]
fn every_test_that_delivery_md_names_exists() {
    let mut code = String::new();
    for room in ROOMS {
        for file in sources(&root().join(room)) {
            code.push_str(&fs::read_to_string(file).unwrap());
        }
    }
    let mut count = 0;
    for row in rows(&read("docs/delivery.md"), "").iter().filter(|row| row.len() > 1) {
        for name in row.last().unwrap().split(", ").filter(|name| name.matches('_').count() > 2) {
            assert!(
                code.contains(&format!("fn {name}(")),
                "delivery.md names a test that is not there: {name}"
            );
            count += 1;
        }
    }
    assert!(count > 10, "the search for tests in delivery.md finds none any more");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// README.md and everything under docs/.
fn documents() -> Vec<PathBuf> {
    let mut found = files(&root().join("docs"), "md");
    found.push(root().join("README.md"));
    found
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    files(directory, "rs")
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found
}

/// The rows of the tables whose first heading is `heading`, or of all if that is empty; without backticks.
pub(crate) fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut is_wanted = None;
    for line in text.lines() {
        let Some(line) = line.strip_prefix('|') else {
            is_wanted = None;
            continue;
        };
        let line = line.trim_end().trim_end_matches('|').replace('`', "");
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        match is_wanted {
            None => is_wanted = Some(heading.is_empty() || cells[0] == heading),
            Some(true) if !cells[0].starts_with("--") => found.push(cells),
            Some(_) => {}
        }
    }
    found
}

/// The text that `rest` begins with: a literal, or a constant of `file`. `None` if it begins with neither.
fn literal(rest: &str, file: &str) -> Option<String> {
    let rest = rest.trim_start();
    let text = match rest.strip_prefix('"') {
        Some(text) => text,
        None => {
            let name = rest.split([',', ')']).next()?.trim();
            file.split_once(&format!("const {name}: &str = \""))?.1
        }
    };
    text.split('"').next().map(str::to_owned)
}

fn help(binary: &Path, arguments: &[&str]) -> String {
    let output = Command::new(binary).args(arguments).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{} {arguments:?} --help", binary.display());
    String::from_utf8(output.stdout).unwrap()
}

fn subcommands(help: &str) -> Vec<String> {
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
    let listed = commands.lines().take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// `VARIABLE --flag default` of each option that has a variable.
fn options(help: &str) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    for line in help.lines() {
        let line = line.trim();
        // A dash by itself begins one of an option's values.
        if line.starts_with('-') && !line.starts_with("- ") {
            chunks.push(String::new());
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.push_str(line);
            chunk.push(' ');
        }
    }
    let after = |chunk: &str, mark: &str| {
        chunk
            .split(mark)
            .nth(1)
            .map(|rest| rest.split([']', '=']).next().unwrap().trim().to_owned())
    };
    chunks
        .iter()
        .filter_map(|chunk| {
            let variable = after(chunk, "[env:")?;
            let flag = chunk.split_whitespace().find(|word| word.starts_with("--"))?;
            let default = after(chunk, "[default:").unwrap_or_else(|| "–".to_owned());
            Some(format!("{variable} {flag} {default}"))
        })
        .collect()
}

pub(crate) fn assert_same(real: &BTreeSet<String>, documented: &BTreeSet<String>, what: &str) {
    let missing: Vec<_> = real.difference(documented).collect();
    let invented: Vec<_> = documented.difference(real).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "{what}: not documented: {missing:#?}; documented and not there: {invented:#?}"
    );
}
