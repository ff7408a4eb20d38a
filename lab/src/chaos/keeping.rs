//! What is kept of a round in which something is wrong: everybody's logs, the history, and what Kafka knows of transactions that
//! the relay has waited for.

use std::{
    collections::BTreeSet,
    fs,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{Plan, World};
use crate::{
    history::History,
    stack::{Kafka, Stack, target_directory},
};

/// What the relay says of a transaction that does not end.
const UNDECIDED: &str = "undecided transaction";
const RELAY_LOG: &str = "outbox-relay.log";
/// What is asked of Kafka then: the relay's progress topic has one partition, and the broker is the only one.
const QUESTIONS: [&[&str]; 3] = [
    &["list"],
    &["describe-producers", "--topic", "outbox-relay.progress", "--partition", "0"],
    &["find-hanging", "--broker-id", "1"],
];

/// Copies a round's logs, which its servers have in directories below that of `stack`, and its history to where they stay; answers
/// where. The servers, if they have started, still run.
pub(super) async fn keep(
    stack: &Stack,
    plan: &Plan,
    history: &History,
    world: Option<&World>,
) -> io::Result<PathBuf> {
    let name = format!("{}-{}-faults", plan.seed, plan.strikes.len());
    let kept = new_directory(&target_directory().join("chaos"), &name)?;
    for directory in entries(stack.directory())? {
        copy_logs(&directory, &kept)?;
    }
    history.write(&kept.join("history.jsonl"))?;
    if let Some(world) = world
        && says(&kept.join(RELAY_LOG), UNDECIDED)
    {
        ask(world.kafka(), &kept.join("transactions.txt")).await?;
    }
    Ok(kept)
}

/// What is in a directory.
fn entries(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

/// Creates `name` below `parent`, or with a number after it if that is there already.
fn new_directory(parent: &Path, name: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(parent)?;
    let mut path = parent.join(name);
    let mut number = 1;
    loop {
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                path = parent.join(format!("{name}-{number}"));
            }
            created => return created.map(|()| path),
        }
    }
}

/// Copies the logs that lie in `directory`, those of a second server of a kind with its directory's name before theirs.
fn copy_logs(directory: &Path, kept: &Path) -> io::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for log in entries(directory)?.iter().filter(|path| path.extension() == Some("log".as_ref())) {
        let Some(name) = log.file_name().filter(|_| log.is_file()) else { continue };
        let mut copy = kept.join(name);
        if copy.exists() {
            let directory = directory.file_name().unwrap_or_default().to_string_lossy();
            copy = kept.join(format!("{directory}-{}", name.to_string_lossy()));
        }
        fs::copy(log, copy)?;
    }
    Ok(())
}

fn says(log: &Path, what: &str) -> bool {
    fs::read(log).is_ok_and(|text| String::from_utf8_lossy(&text).contains(what))
}

/// Has Kafka say what it knows of its transactions; what cannot be asked is written there too.
async fn ask(kafka: &Kafka, answers: &Path) -> io::Result<()> {
    for question in QUESTIONS {
        append(answers, &format!("kafka-transactions {}\n", question.join(" ")))?;
        if let Err(error) = kafka.tell_transactions(question, answers).await {
            append(answers, &format!("{:#}\n", anyhow::Error::from(error)))?;
        }
    }
    Ok(())
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    File::options().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> PathBuf {
        let path = std::env::temp_dir().join(format!("keeping-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_second_round_of_a_name_is_kept_beside_the_first() {
        let parent = fresh();
        let names = [(); 3].map(|()| new_directory(&parent, "7-2-faults").unwrap());
        assert_eq!(
            names,
            ["7-2-faults", "7-2-faults-2", "7-2-faults-3"].map(|name| parent.join(name))
        );
        fs::remove_dir_all(parent).unwrap();
    }

    #[test]
    fn logs_of_one_name_are_all_kept_and_nothing_else_is() {
        let (kept, servers) = (fresh(), fresh());
        for server in ["debezium-1", "debezium-2"] {
            let directory = servers.join(server);
            fs::create_dir_all(directory.join("data.log")).unwrap();
            fs::write(directory.join("debezium.log"), server).unwrap();
            fs::write(directory.join("garbage.log"), "").unwrap();
            fs::write(directory.join("owner"), "").unwrap();
            copy_logs(&directory, &kept).unwrap();
        }
        let read = |name: &str| fs::read_to_string(kept.join(name)).unwrap();
        assert_eq!(entries(&kept).unwrap().len(), 4);
        let logs = ["debezium.log", "debezium-2-debezium.log"].map(read);
        assert_eq!(logs, ["debezium-1", "debezium-2"]);
        [kept, servers].into_iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }
}
