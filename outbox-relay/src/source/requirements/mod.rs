//! What the relay needs of a database. `run` refuses to lead without it, `doctor` lists it.

mod privileges;
mod sequence;
mod table;

use sqlx::PgConnection;

use crate::fault::Fault;
use crate::finding::{Finding, Level};

/// The oldest PostgreSQL that the statements work on.
const OLDEST_VERSION: i32 = 140_000;

/// Checks all of it; ends at the first fault that makes the other checks impossible.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = vec![version(connection).await?];
    findings.extend(table::check(connection).await?);
    if is_fit(&findings) {
        findings.push(privileges::check(connection).await?);
    }
    if is_fit(&findings) {
        findings.extend(sequence::check(connection).await?);
    }
    Ok(findings)
}

fn is_fit(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Fault)
}

async fn version(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let version = sqlx::query!(
        r#"SELECT current_setting('server_version') AS "name!",
            current_setting('server_version_num')::integer AS "number!""#
    )
    .fetch_one(connection)
    .await?;
    Ok(judge_version(&version.name, version.number))
}

fn judge_version(name: &str, number: i32) -> Finding {
    let said = format!("it is PostgreSQL {name}");
    if number >= OLDEST_VERSION {
        return Finding::ok("version", said);
    }
    Finding::fault("version", Fault::new(said, "upgrade it to 14 or newer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_older_than_14_is_refused() {
        assert_eq!(judge_version("13.22", 130_022).level, Level::Fault);
        assert_eq!(judge_version("14.0", 140_000).level, Level::Ok);
    }
}
